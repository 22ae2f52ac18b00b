"""Reports that people look at: one HTML file each, beside a JSON file of the same figures.

Pure but for `files`: figures as plain values go in, HTML comes out. Guarantees that a report needs neither
script nor network, and that no text of a shopper's becomes markup.
"""
