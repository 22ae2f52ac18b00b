"""`unseen doctor`: looks at all that Unseen stands on, changes nothing, and says what to do."""
