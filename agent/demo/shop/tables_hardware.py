"""Concepts of the hardware departments; `concepts.py` says how a row is read."""

HARDWARE = """
== Hand tools
# Turning and gripping
wrench | spanner, spaner~, nut turner, thing to turn nuts | combination, open ended, ratchet | diameter, metal | bicycle, plumbing work, flat pack furniture | adjustable wrench, socket set |
adjustable wrench, crescent wrench | shifter, shifting spanner, adjustable spanner | wide jaw, slim, insulated | diameter, metal | plumbing work, bicycle, caravan | wrench | wrench
pipe wrench, stillson wrench | big plumber grips, footprints, pipe spanner | chain, offset, heavy duty | centimetres, metal | plumbing work, old pipes, boiler | adjustable wrench | wrench
socket set, ratchet kit | nut driver box, sockets and handle, socket* | deep, impact, torx | diameter, pack | car repair, bicycle, workshop | wrench | power socket
hex key, allen wrench | allan key, l shaped key, inbus, unbrako | ball end, folding, t handle | diameter, pack | flat pack furniture, bicycle, grub screws | |
screwdriver | turnscrew, screw driver, skrewdriver~, thing to turn screws | stubby, phillips, insulated | length, pack | flat pack furniture, electrical work, workshop | screwdriver bit |
screwdriver bit, driver bit | torx tip, bit*, screw tips | impact, magnetic, long | pack, length | flat pack furniture, decking, impact driver | screwdriver | drill bit
pliers | gripping pincers, plyers~, grabbers | long nose, slip joint, locking | centimetres, metal | electrical work, workshop, wire fences | wire cutter |
pincers, tower pincers | nail puller, nail pliers, carpenter's nippers | heavy, small, farrier | centimetres, metal | old boards, workshop, wire fences | pliers | nail
wire cutter, side cutter | dykes, snippers, cutter* | diagonal, flush, insulated | centimetres, metal | electrical work, wire fences, workshop | pliers | pipe cutter
bench vice, vise | screw clamp for table, jaw holder, vyce~ | swivel, woodworking, clamp on | centimetres, metal | workshop, metalwork, model making | clamp |
clamp, cramp | squeezer for gluing, g clamp, wood holder | quick release, bar, spring | centimetres, metal | glued joints, workshop, model making | bench vice |
# Striking and prising
claw hammer | hamer~, nail banger, framing mallet | curved, fibreglass, magnetic | kilos, wood | old boards, roofing work, picture hanging | mallet |
mallet, soft hammer | rubber banger, wooden hammer, paving maul | rubber, dead blow, wooden | kilos, wood | tent pegs, paving slabs, flat pack furniture | claw hammer | claw hammer
sledgehammer, sledge | big hammer, demolition maul, lump basher | long handled, fibreglass, short | kilos, wood | demolition, fence posts, paving slabs | claw hammer | claw hammer
crowbar, pry bar | jemmy, wrecking iron, iron* for prising | flat, gooseneck, mini | centimetres, metal | demolition, old boards, crates | | iron
chisel | wood carver, chizel~, mortice blade | bevel edge, firmer, mortise | diameter, wood | door hinges, workshop, oak beams | cold chisel |
cold chisel, bolster chisel | brick cutter, cutter* for bricks, stone splitter | flat, pointed, guarded | centimetres, metal | brick wall, paving slabs, demolition | chisel | chisel
# Cutting and shaping
hand saw, panel saw | wood cutter by hand, saw*, sore for wood~ | fine, hardpoint, japanese | centimetres, wood | workshop, plasterboard, old boards | hacksaw |
hacksaw, metal saw | saw for pipe, saw*, junior cutter | junior, adjustable, high tension | centimetres, metal | metalwork, old pipes, bolts | hand saw | hand saw
utility knife, box cutter | stanley knife, cutter*, craft scalpel, carpet blade | retractable, snap off, folding | pack, metal | carpet, plasterboard, cardboard | | pipe cutter
block plane, hand planer | wood shaver, plane*, jack smoother | low angle, smoothing, jack | centimetres, wood | sticking doors, workshop, oak beams | wood rasp |
wood rasp, file | rough scraper, wood grater, filing tool | half round, round, needle | centimetres, metal | sticking doors, metalwork, model making | block plane |
pipe cutter, tube slicer | cutter*, copper cutter, thing to cut pipes | ratchet, adjustable, mini | diameter, metal | old pipes, plumbing work, boiler | hacksaw | wire cutter
bolt cutter, bolt cropper | padlock cutter, cutter*, chain snips | compact, angled, heavy duty | centimetres, metal | wire fences, padlocks, rebar | wire cutter | bolt
tile cutter | tile breaker, ceramic saw, cutter* for tiles | manual, electric, wheeled | centimetres, metal | kitchen wall, tiled floors, bathroom wall | | pipe cutter
# Measuring and marking
tape measure, measuring tape | tape*, ruler on a roll, measure reel | magnetic, autolock, pocket | metres, metal | workshop, building site, curtains | folding rule | duct tape
folding rule | yardstick, metre stick, carpenter's ruler | wooden, plastic, marked | metres, wood | workshop, building site, model making | tape measure | tape measure
spirit level, bubble level | level*, water balance, levelling stick | magnetic, box section, torpedo | centimetres, metal | shelves, building site, picture hanging | laser level | laser level
laser level, cross line laser | level*, light liner, red line thing | self levelling, rotary, green beam | metres, pack | tiled floors, building site, kitchen wall | spirit level | spirit level
stud finder, stud detector | wall scanner, beam locator, thing to find pipes in wall | deep scan, magnetic, digital | centimetres, colour | plasterboard, picture hanging, shelves | |
== Power tools
# Drilling and driving
drill driver, cordless drill | drill*, screw gun, gun* for screws | brushless, compact, right angle | volts, pack | flat pack furniture, decking, caravan | hammer drill | drill bit
hammer drill, rotary hammer | sds machine, drill*, kango | corded, combi, heavy duty | volts, watts | brick wall, concrete floor, demolition | drill driver | drill bit
drill bit, twist bit | drill*, bit*, borer, hole maker | masonry, hex shank, titanium | diameter, pack | brick wall, oak beams, concrete floor | hole saw | drill driver
hole saw, hole cutter | circle cutter, cutter*, round saw, saw* for holes | bimetal, diamond, arbored | diameter, pack | plasterboard, tiled floors, door locks | drill bit | hand saw
nail gun, nailer | gun*, brad machine, pin shooter | framing, finish, pneumatic | volts, kilos | decking, skirting boards, wire fences | staple gun | nail
staple gun, tacker | gun*, upholstery stapler, stapling machine | manual, electric, hammer | volts, metal | upholstery, wire fences, roofing felt | nail gun | nail gun
heat gun, hot air gun | gun*, paint stripper blower, shrink blower | variable, cordless, digital | watts, volts | old paint, shrink tubing, vinyl floors | | glue gun
glue gun, hot melt applicator | gun*, glue pistol, craft gluer | cordless, mini, industrial | watts, volts | model making, school crafts, upholstery | | heat gun
# Sawing and sanding
jigsaw, sabre saw | curve cutter, saw*, jig saw, puzzle saw | orbital, barrel grip, cordless | volts, watts | worktops, laminate floors, plywood | circular saw | hand saw
circular saw | skilsaw, saw*, round blade cutter, buzz saw | plunge, mini, track | volts, watts | plywood, decking, worktops | jigsaw | hand saw
angle grinder | disc cutter, flex, cutter* with disc, whizzer | slim, variable, cordless | watts, volts | metalwork, paving slabs, rebar | |
sander | sanding machine, rubbing machine, abrasive tool | orbital, belt, detail | watts, volts | old paint, hard floors, oak beams | sandpaper |
sandpaper, abrasive sheet | glasspaper, emery, sheet* for sanding, grit | wet and dry, hook backed, mesh | pack, grit | old paint, oak beams, car repair | sander | dust sheet
router, trimming router | edge cutter, moulding machine, wood groover | plunge, fixed, compact | watts, volts | worktops, oak beams, door hinges | jigsaw |
soldering iron, solder station | iron*, electronics welder, soldiering pen | gas, digital, pencil | watts, volts | electrical work, model making, old pipes | blowtorch | iron
blowtorch, gas burner | torch*, flame gun, blow lamp | piezo, pencil, swivel | metal, pack | old pipes, roofing felt, campfire | soldering iron | flashlight
air compressor | wind machine, tyre pump, pump*, airline | silent, portable, belt driven | litres, watts | car repair, spray painting, workshop | | pond pump
shop vacuum, wet and dry vacuum | site hoover, dust extractor, hoover* | portable, class m, cordless | litres, watts | workshop, building site, car washing | vacuum cleaner | vacuum cleaner
== Fixings
# Screws, nails, anchors
wood screw, chipboard screw | screws*, spax, screw for timber | countersunk, pozi, torx | length, pack | decking, oak beams, flat pack furniture | bolt |
wall anchor, rawl plug | plug*, dowel plastic, fischer, thing for screw in wall | nylon, toggle, frame | diameter, pack | brick wall, plasterboard, hollow wall | | electrical plug
bolt, machine screw | hex screw, threaded rod with head, screws* with nut | hex head, coach, button head | thread, metal | bicycle, metalwork, climbing frame | wood screw | door bolt
flat washer, plain washer | washer*, metal ring, penny ring | spring, large, serrated | thread, metal | climbing frame, bicycle, metalwork | bolt, nut | washing machine
nut, hex nut | bolt end, screw cap, threaded ring | locking, wing, dome | thread, metal | climbing frame, bicycle, metalwork | flat washer, bolt |
nail, wire nail | tack, brad, long pin for wood | round head, oval, galvanised | length, pack | roofing felt, skirting boards, old boards | wood screw |
rivet, pop rivet | pop fastener, metal peg, blind pin | blind, sealed, large flange | diameter, metal | metalwork, car repair, gutters | |
picture hook, picture hanger | thing to hang pictures, hook*, nail for painting, no drill photo peg | hardwall, brass, double | pack, kilos | brick wall, plasterboard, hallway | adhesive strip | coat hook
adhesive strip, mounting strip | command tape, tape* for posters, sticky pads, no nail thing | removable, outdoor, double | pack, kilos | picture hanging, tiled walls, rented rooms | picture hook | duct tape
cable tie, zip tie | plastic strap, tie wrap, ty rap | releasable, stainless, coloured | length, pack | electrical work, wire fences, bicycle | |
hose clip, hose clamp | jubilee, clip*, pipe ring | worm drive, spring, eared | diameter, metal | washing machine, car repair, pond | | cable clip
chain, link chain | steel rope, fetters | short link, welded, decorative | metres, metal | gates, hanging baskets, swings | rope | chainsaw chain
rope, cord line | string thick, twine, tie down cable | braided, natural, marine | metres, colour | swings, boats, tarpaulins | chain |
# Ironmongery
hinge, butt hinge | door joint, pivot, henge~ | soft close, piano, concealed | metal, length | kitchen cupboards, gates, sticking doors | |
door handle, lever handle | door pull, grip*, latch lever | round, backplate, privacy | metal, colour | front door, hallway, bathroom door | door knob, cabinet knob |
cabinet knob, cupboard knob | drawer pull, knob*, button handle | mushroom, ring, faceted | metal, colour | kitchen cupboards, old furniture, nursery | door handle | door knob
door knob, mortice knob | knob*, round door handle, twist opener | beehive, reeded, oval | metal, colour | front door, hallway, old doors | cabinet knob | cabinet knob
door bolt, barrel bolt | bolt*, slide latch, shoot lock | tower, necked, foot | metal, length | garden shed, gates, bathroom door | padlock | bolt
padlock, shackle lock | lock*, hanging lock, gate lock, pad lock | combination, weatherproof, long shackle | metal, diameter | garden shed, gates, bicycle | mortice lock | mortice lock
mortice lock, sash lock | lock*, door lock inside, key box | five lever, deadlock, bathroom | metal, colour | front door, old doors, bathroom door | padlock | padlock
door stop, door wedge | stopper*, thing to keep door open, bumper for door | floor, wall, weighted | metal, colour | front door, hallway, nursery | | sink stopper
door closer | shutter arm, self close spring, door damper | hydraulic, concealed, gate | metal, kilos | front door, gates, garage | |
letter box, mailbox | post slot, box*, mail drop | wall, lockable, parcel | metal, colour | front door, gates, hallway | | storage box
house number, door numeral | street digits, address sign, number for house | self adhesive, floating, slate | metal, colour | front door, gates, brick wall | |
draught excluder, weather strip | draft stopper, door snake, wind seal, seal* | brush, foam, under door | metres, colour | front door, sash windows, loft hatch | silicone sealant | silicone sealant
shelf bracket, shelf support | bracket*, angle iron for shelf, l thing for shelf | folding, scrolled, heavy duty | metal, centimetres | brick wall, garage, home office | floating shelf | tv wall bracket
joist hanger, timber connector | hanger*, beam shoe, bracket* for beam | long leg, mini, hip | metal, diameter | decking, oak beams, loft room | | clothes hanger
coat hook, hat peg | hook*, jacket hanger, thing to hang coats | triple, rail, over door | metal, wood | hallway, nursery, garden shed | towel hook | picture hook
drawer slide, drawer runner | runner*, drawer glide, rail* for drawer | soft close, full extension, bottom mount | length, kilos | kitchen cupboards, old furniture, workshop | | runner carpet
caster, castor wheel | furniture wheel, rollers*, trolley foot | braked, swivel, rubber | diameter, kilos | workshop, sofas, plant tubs | furniture glide | paint roller
furniture glide, felt pad | chair sock, floor saver, slider for legs | self adhesive, screw on, round | diameter, pack | hard floors, sofas, dining chairs | caster |
# Storage
storage box, plastic crate | tote, box*, tub with lid | stackable, underbed, clear | litres, colour | loft room, garage, children | tool box | letter box
tool box, tool chest | box*, spanner case, hand tool carrier | cantilever, rolling, metal | centimetres, colour | workshop, building site, caravan | storage box | letter box
floating shelf, wall shelf | ledge, board for wall, invisible rack | narrow, corner, picture | wood, centimetres | home office, nursery, hallway | shelf bracket |
storage rack, shelving unit | garage shelves, metal shelving, boltless bay | five tier, corner, heavy duty | metal, kilos | garage, garden shed, utility room | storage box |
workbench, work table | bench*, joiners table, folding sawhorse | folding, mobile, height adjustable | wood, kilos | workshop, garage, model making | bench vice | garden bench
ladder, steps | climbing thing, leader, step up | extension, telescopic, loft | metres, metal | loft hatch, gutters, roofing work | step stool |
step stool | hop up, little ladder, kitchen climber | folding, two step, non slip | metal, colour | kitchen corner, children, elderly person | ladder | ladder
sack truck, hand trolley | dolly, barrow for boxes, moving cart | folding, stair climbing, pneumatic | kilos, metal | house moves, garage, stairs | wheelbarrow | wheelbarrow
== Decorating
# Paint
emulsion, wall paint | latex paint, house paint, emulsion matt stuff, colour for walls | matt, silk, washable | litres, colour | bathroom wall, nursery, kitchen wall | gloss paint, primer |
gloss paint, trim enamel | woodwork varnish, shiny paint, oil paint for doors | satin, quick dry, exterior | litres, colour | skirting boards, front door, radiator | emulsion | emulsion
primer, undercoat | base coat, first paint, sealer | stain block, metal, multi surface | litres, colour | plasterboard, old paint, bare wood | emulsion | emulsion
wood stain, timber preserver | fence paint, wood dye, creosote | water based, oil based, quick dry | litres, colour | decking, garden shed, oak beams | varnish | gloss paint
varnish, lacquer | clear coat, polyurethane, shellac | matt, floor, yacht | litres, colour | hard floors, oak beams, worktops | wood stain |
paint thinner, white spirit | turps, turpentine, brush cleaner | low odour, bio, gelled | litres | old paint, brushes, resin | | paint brush
spray paint, aerosol enamel | rattle can, graffiti tin, can of paint | chalky, metallic, heat proof | colour, pack | radiator, bicycle, garden furniture | gloss paint | emulsion
# Decorating tools
paint brush, decorator's brush | brush*, bristle tool, painting stick | angled, synthetic, radiator | length, pack | skirting boards, window frames, old doors | paint roller | toilet brush
paint roller, roller frame | roller*, wall painter, fluffy roll | mini, long pile, telescopic | centimetres, pack | kitchen wall, ceilings, fences | paint brush | roller blind
paint tray, roller scuttle | pan* for paint, emulsion dish, roller pan | deep, lined, mini | centimetres, pack | ceilings, kitchen wall, fences | paint roller | frying pan
masking tape, painter's tape | tape*, frog tape, edge tape | delicate, outdoor, crepe | metres, pack | window frames, skirting boards, car repair | duct tape | duct tape
dust sheet, drop cloth | sheet*, painters blanket, floor cover, cover* | cotton, polythene, stair | metres, pack | ceilings, stairs, house moves | tarpaulin | fitted sheet
filler, spackle | polyfilla, crack paste, hole stuff for wall | ready mixed, flexible, quick set | kilos, colour | cracked plaster, bare wood, brick wall | grout | silicone sealant
filling knife, putty knife | scraper*, spackling blade, plaster spatula | flexible, stiff, wide | centimetres, metal | cracked plaster, old paint, window putty | wallpaper scraper | utility knife
wallpaper | wall covering, paper for walls, tapestry paper | textured, vinyl, paste the wall | metres, colour | nursery, hallway, feature wall | wallpaper paste |
wallpaper paste, wallpaper adhesive | glue*, size for paper, hanging paste | ready mixed, heavy duty, powder | kilos, pack | feature wall, vinyl paper, hallway | wallpaper | wood glue
wallpaper scraper, wallpaper stripper | scraper*, paper peeler, steamer for paper | long handled, steam, bladed | centimetres, watts | feature wall, old paper, hallway | filling knife | wallpaper
duct tape, gaffer tape | tape*, duck tape, silver strong sticky | heavy duty, cloth, waterproof | metres, colour | car repair, camping trips, old pipes | masking tape | tape measure
wood glue, carpenter's glue | glue*, pva, joiners paste | waterproof, fast grab, clear | litres, pack | glued joints, oak beams, dining chairs | super glue | super glue
super glue, instant adhesive | glue*, crazy glue, cyano | gel, precision, ultra strong | pack, litres | broken cups, model making, shoes | wood glue | wood glue
silicone sealant, bathroom sealant | caulk, seal*, mastic, silicon | mould proof, neutral, clear | colour, pack | shower corner, kitchen sink, bath edge | sealant gun | draught excluder
sealant gun, caulking gun | gun*, mastic pistol, silicone squeezer | skeleton, cordless, drip free | metal, volts | shower corner, window frames, bath edge | silicone sealant | nail gun
grout | tile joint filler, gap cement, growt~ | flexible, epoxy, rapid set | kilos, colour | tiled floors, bathroom wall, walk in shower | | silicone sealant
"""
