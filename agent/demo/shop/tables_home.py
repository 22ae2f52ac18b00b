"""Concepts of the home departments; `concepts.py` says how a row is read."""

HOME = """
== Living room
# Seating
sofa, couch, settee | davenport, cauch~, thing to lounge on | two seater, three seater, corner, chesterfield | colour, fabric | small flat, conservatory, family room | sofa bed, armchair, sofa cover |
sofa bed, sleeper couch, pull out settee | bed for guests, couch you can sleep on, futon | two seater, three seater, click clack | colour, fabric | spare room, small flat, student room | sofa, guest bed | sofa
armchair, easy chair | comfy chair, single couch, reading seat | wing back, tub, high seat | colour, fabric | reading corner, conservatory, bay window | recliner, sofa |
recliner, reclining chair | lazy boy, tv chair, lay back seat | rise and fall, swivel, massage | colour, fabric | family room, elderly person, home cinema | armchair |
footstool, ottoman, pouffe | hassock, leg rest, foot thing | storage, round, tufted | colour, fabric | reading corner, nursery, small flat | armchair |
bean bag | sack seat, beanie chair, squashy seat | giant, gaming, teen | colour, fabric | student room, nursery, conservatory | footstool |
rocking chair, rocker | granny chair, nursing chair, swinging seat | spindle back, cushioned, folding | colour, wood | nursery, porch, reading corner | armchair |
bar stool, counter stool | breakfast chair, tall chair, high stool thing | swivel, gas lift, backless | colour, metal | kitchen island, breakfast bar, home bar | dining chair |
dining chair | table chair, dinner seat | ladder back, upholstered, stackable | colour, wood | small flat, family room, kitchen diner | bar stool |
# Tables and units
coffee table, cocktail table | low table, lounge table, magazine table | lift top, nest of two, round | wood, colour | small flat, family room, bay window | side table |
side table, end table | lamp stand*, occasional table, small table | tray top, nest of three, round | wood, colour | reading corner, small flat, bedside | coffee table, nightstand |
sideboard, credenza, buffet cabinet | dining room cupboard, low dresser | two door, three door, sliding door | wood, colour | kitchen diner, hallway, family room | chest of drawers |
bookcase, bookshelf | book rack, shelves for books, library unit | ladder, corner, narrow | wood, colour | home office, nursery, reading corner | floating shelf |
television stand, media unit | tv bench, tv cabinet, telly table, stand* | corner, floating, low | wood, colour | home cinema, small flat, family room | tv wall bracket | tv wall bracket
tv wall bracket, screen wall mount | telly hanger, arm for television, bracket* | swivel, tilting, slim | kilos, metal | home cinema, brick wall, bedroom corner | television stand | shelf bracket
desk, writing table | bureau, computer table, homework table | corner, standing, folding | wood, colour | home office, student room, small flat | office chair |
office chair, task chair | computer chair, desk seat, swivel seat | ergonomic, mesh back, high back | colour, fabric | home office, student room, standing desk | desk |
console table, hall table | entry table, narrow table, thing behind the sofa | half moon, two drawer, glass top | wood, colour | hallway, bay window, small flat | side table | sofa
# Soft furnishings
cushion, scatter pillow | throw pillow, couch pillow, sofa pad | square, bolster, piped | colour, fabric | window seat, reading corner, nursery | cushion cover | pillow
cushion cover | pillow case*, pillow sleeve | square, embroidered, zipped | colour, fabric | window seat, reading corner, conservatory | cushion | pillowcase
throw, sofa blanket | afghan, lap rug, cover* | fringed, knitted, fleece | colour, fabric | reading corner, spare room, cold evenings | blanket |
sofa cover, slipcover, couch protector | settee sleeve, elastic cover, cover* | stretch, waterproof, two seater | colour, fabric | pet owners, family room, old furniture | throw | sofa
rug, area carpet | floor mat*, tapestry for floor | round, shaggy, flat weave | colour, fabric | nursery, hallway, under dining table | runner carpet |
runner carpet, corridor rug | hall runner, runner*, long rug | patterned, plain, washable | colour, metres | hallway, stairs, kitchen floor | rug | drawer slide
curtain, drape | window hanging, drapery, window cloth | blackout, eyelet, pencil pleat | colour, fabric | bay window, nursery, bedroom window | net curtain, roller blind |
net curtain, sheer voile | see through drape, lace curtain, privacy veil | cafe, rod pocket, plain | colour, metres | bay window, bathroom window, kitchen window | curtain |
roller blind, window shade | pull down screen, roller*, window roll | blackout, thermal, sunscreen | colour, centimetres | nursery, bathroom window, roof window | venetian blind, curtain | paint roller
venetian blind, slatted shade | louvre blind, slats for window, jalousie | aluminium slat, wooden slat, mini | colour, centimetres | home office, kitchen window, bathroom window | roller blind |
curtain rod, drapery pole | drape rail, rail*, thing to hang curtains | extendable, bay, tension | metal, metres | bay window, shower corner, bedroom window | curtain | towel rail
picture frame, photo frame | photo holder, surround for print, picture border | clip, box, multi aperture | wood, colour | hallway, home office, family photos | picture hook |
mirror, looking glass | vanity glass, reflecting glass, miror~ | full length, round, arched | colour, metal | hallway, bathroom wall, bedroom corner | |
wall clock | time piece, hanging clock, clock for wall | silent, radio controlled, pendulum | colour, wood | kitchen wall, home office, bathroom wall | |
candle holder, tealight holder | candlestick, votive stand, thing for candles | lantern, tapered, wall | metal, colour | dinner table, patio table, hallway | |
vase, flower jar | bouquet pot, pot*, stem holder | tall, bud, ribbed | ceramic, colour | hallway, dinner table, dried flowers | planter | planter
waste bin, trash can, rubbish bin | garbage can, dustbin, basket* | pedal, sensor, swing lid | litres, colour | home office, kitchen corner, bathroom corner | recycling bin | hanging basket
recycling bin, waste sorter | separate trash can, sorting bin, bin with parts | two compartment, stackable, under sink | litres, colour | kitchen corner, garage, small flat | waste bin | waste bin
== Bedroom
# Beds
bed frame, bedstead | bed*, bed base, bed without mattress | upholstered, slatted, four poster | bed, wood | spare room, nursery, loft room | guest bed | raised planter
mattress | bed pad, matress~, thing to sleep on | memory foam, pocket sprung, orthopaedic | bed | back pain, spare room, guest bed | mattress topper |
mattress topper, mattress overlay | bed pad on top, soft layer for bed, mattress pad | memory foam, feather, cooling | bed | back pain, spare room, caravan | mattress | mattress
guest bed, folding bed | rollaway, camp cot, spare bed | with mattress, steel, slatted | bed, metal | spare room, caravan, small flat | sofa bed | bed frame
bunk bed, double decker bed | kids stack bed, two beds above each other | detachable, triple, low | colour, wood | nursery, holiday home, small flat | bed frame |
cot, crib | baby bed, baby cage | drop side, travel, three in one | colour, wood | nursery, holiday home, spare room | bed frame |
nightstand, bedside cabinet | night table, bedside table, nite stand~ | one drawer, two drawer, open shelf | wood, colour | spare room, small flat, loft room | side table |
wardrobe, armoire | closet, clothes cupboard, wardrope~ | sliding door, mirrored, three door | wood, colour | spare room, loft room, hallway | clothes rail |
chest of drawers, dresser | bureau with drawers, chester drawers~, tallboy | five drawer, wide, narrow | wood, colour | nursery, spare room, hallway | sideboard |
clothes rail, garment rack | open wardrobe, rail*, coat stand on wheels | heavy duty, double, folding | metal, colour | loft room, student room, laundry room | wardrobe | towel rail
# Bedding
duvet, comforter, quilt | doona, continental blanket, duve~ | all season, summer, winter | bed, fabric | cold evenings, spare room, allergy sufferers | duvet cover |
duvet cover, quilt cover | comforter sheath, doona sleeve, cover* | reversible, striped, seersucker | bed, colour | spare room, student room, guest bed | duvet | duvet
pillow, head cushion | bed cushion, thing for under head | memory foam, feather, side sleeper | fabric, pack | back pain, allergy sufferers, spare room | pillowcase | cushion
pillowcase, pillow slip | pillow cover, cushion bag, pilow case~ | housewife, oxford, envelope | colour, fabric | spare room, allergy sufferers, guest bed | pillow | cushion cover
fitted sheet, bed sheet | elastic linen, bottom sheet, sheet* | deep, jersey, percale | bed, colour | guest bed, spare room, thick mattress | mattress protector | dust sheet
mattress protector, mattress cover | mattress saver, wee sheet, sheet* | waterproof, quilted, terry | bed, fabric | allergy sufferers, nursery, guest bed | fitted sheet | dust sheet
blanket | bed warmer cloth, cover*, bed throw | electric, wool, weighted | bed, colour | cold evenings, spare room, caravan | throw | barbecue cover
== Kitchen
# Cooking
saucepan, cooking pot | pot*, milk pan, pan with handle | lidded, non stick, pouring | metal, litres | induction hob, student room, small flat | frying pan, stockpot | planter
frying pan, skillet | fry pan, egg pan, pan* | non stick, deep, griddle | metal, centimetres | induction hob, campfire, gas stove | saucepan, wok | dustpan
wok, stir fry pan | chinese pan, round bottom pan | flat base, lidded, non stick | metal, centimetres | gas stove, induction hob, campfire | frying pan |
stockpot, soup kettle | big pot, soup pan, cauldron | lidded, pasta, tall | metal, litres | induction hob, family meals, campfire | saucepan |
casserole dish, dutch oven | stew pot, oven pot, cocotte | oval, round, shallow | colour, litres | gas stove, family meals, campfire | stockpot | oven
baking tray, cookie sheet | oven tray, sheet*, biscuit pan | non stick, perforated, rimmed | metal, centimetres | family meals, small oven, pizza | cake tin | dust sheet
cake tin, baking mould | cake pan, bundt form, sponge mold | springform, loose base, square | metal, centimetres | birthday cakes, small oven, family meals | baking tray |
kettle, water boiler | tea maker, jug for hot water, ketle~ | whistling, electric, gooseneck | colour, litres | caravan, gas stove, small flat | |
toaster | bread browner, toast machine, bread grill | two slice, four slice, long slot | colour, metal | small flat, caravan, family meals | |
cooker, range stove | hob and oven, stove*, range* | electric, dual fuel, freestanding | colour, centimetres | small flat, family meals, holiday home | oven | wood burner
oven | built in baker, wall stove, roaster | double, steam, fan | colour, litres | kitchen island, family meals, holiday home | cooker |
cooker hood, range hood | fume extractor, stove fan, fan* | chimney, island, telescopic | metal, centimetres | kitchen island, gas stove, small flat | hood filter | pedestal fan
hood filter | grease pad, extractor mesh, filter* | carbon, aluminium mesh, fleece | pack, centimetres | kitchen fumes, chimney hood, gas stove | cooker hood | water filter
refrigerator, fridge | icebox, cold cupboard, frige~ | tall, under counter, retro | colour, litres | small flat, garage, family meals | freezer |
freezer, deep freeze | ice cupboard, chest for frozen food | chest, upright, frost free | colour, litres | garage, family meals, holiday home | refrigerator |
dishwasher | dish cleaner, washer*, dishwashing machine | slimline, tabletop, built in | colour, centimetres | small flat, family meals, holiday home | dishwasher tablet | flat washer
dishwasher tablet | dish tabs, machine soap, dishwasher pods | all in one, scented, phosphate free | pack | hard water, family meals, glass care | dishwasher | dishwasher
# Preparing and serving
chopping board, cutting board | butcher block, slicing plank, bread plank | end grain, reversible, folding | wood, centimetres | family meals, small flat, raw meat | kitchen knife |
kitchen knife, chef's blade | cooks knife, cleaver, blade for meat | serrated, paring, carving | metal, centimetres | family meals, raw meat, bread | utility knife |
colander, strainer | sieve with holes, pasta drainer, spaghetti sift | folding, footed, over sink | metal, colour | pasta, salad leaves, small flat | kitchen sieve |
kitchen sieve, sifter | fine mesh drainer, flour shaker | fine, conical, handled | metal, centimetres | flour, tea leaves, birthday cakes | colander |
spatula, fish slice | pancake turner, flipper, egg lifter | slotted, silicone, flexible | metal, colour | non stick pans, pancakes, barbecue food | filling knife | filling knife
whisk | egg beater, mixing wire, wisk~ | balloon, silicone, flat | metal, colour | birthday cakes, pancakes, non stick pans | |
peeler | potato skinner, veg shaver | swivel, y shaped, julienne | metal, colour | potatoes, carrots, left handed people | kitchen knife |
tin opener, can opener | tin key, thing to open cans, can cutter* | safety, electric, wall | metal, colour | left handed people, student room, caravan | | pipe cutter
corkscrew, wine opener | bottle screw, cork puller, wine key | lever, waiter's, winged | metal, colour | home bar, dinner table, picnic | |
cutlery, flatware | silverware, forks and knives, fork* | sixteen piece, children's, hammered | metal, colour | dinner table, student room, picnic | | garden fork
dinner plate | dish to eat off, crockery, big plate | coupe, rimmed, oval | ceramic, colour | dinner table, picnic, student room | bowl |
bowl, cereal dish | soup plate, muesli cup | deep, nesting, footed | ceramic, colour | breakfast, salad leaves, student room | dinner plate |
mug, coffee cup | beaker with handle, tea cup | stackable, double wall, tall | ceramic, colour | breakfast, home office, camping trips | |
tumbler, drinking glass | water glass, glasses to drink, juice cup | highball, stackable, ribbed | pack, colour | dinner table, home bar, breakfast | |
carafe, water jug | pitcher, decanter, jar for water | lidded, glass, filtering | litres, colour | dinner table, lemonade, home bar | |
storage jar, food canister | tupperware, airtight pot, box* for flour | clip top, stackable, bamboo lid | litres, colour | flour, pasta, dry food | lunch box | letter box
lunch box, bento box | packed meal tin, sandwich container | two tier, insulated, leakproof | colour, litres | school, home office, picnic | storage jar |
vacuum flask, insulated bottle | thermos, hot drink bottle, termos~ | wide neck, travel, slim | litres, colour | camping trips, school, soup | | vacuum cleaner
tea towel, dish cloth | dish towel, drying rag, glass cloth | waffle, striped, printed | colour, pack | glass care, kitchen wall, family meals | bath towel | bath towel
oven glove, oven mitt | pot holder, heat mitten, gloves* | double, silicone, quilted | colour, fabric | small oven, barbecue food, left handed people | gardening gloves | gardening gloves
apron | pinny, kitchen bib, cooking smock | cross back, waist, waterproof | colour, fabric | barbecue food, birthday cakes, children | |
dish rack, draining rack | plate dryer, thing for wet dishes, drainer | folding, two tier, over sink | metal, colour | small flat, kitchen corner, family meals | |
water filter | jug cartridge, filter*, brita thing | under sink, tap mounted, jug | pack, litres | hard water, kitchen tap, caravan | hood filter | pond filter
kitchen timer | egg timer, timer*, cooking alarm | magnetic, mechanical, digital | colour | boiled eggs, birthday cakes, small oven | plug timer | plug timer
== Bathroom
# Fittings
toilet seat, lavatory seat | loo lid, wc ring, toilet cover | soft close, wooden, family | colour, wood | downstairs cloakroom, children, hotel style bathroom | toilet pan |
toilet pan, lavatory bowl | loo, wc, pan* | close coupled, wall hung, back to wall | colour, ceramic | downstairs cloakroom, small bathroom, hotel style bathroom | toilet seat | frying pan
wash basin, washbasin sink | bathroom sink, hand bowl, lavabo | countertop, pedestal, corner | ceramic, centimetres | downstairs cloakroom, small bathroom, hotel style bathroom | |
bath, bathtub | tub, soaking tub | freestanding, corner, roll top | colour, centimetres | small bathroom, hotel style bathroom, family bathroom | bath panel |
bath panel | tub side, board for bathtub, panel for tub | front, end, l shaped | colour, centimetres | small bathroom, family bathroom, leak access | bath | bath
shower head, shower rose | douche sprayer, rain head, showerhead | rainfall, handheld, water saving | metal, centimetres | hard water, small bathroom, low pressure | shower hose |
shower hose | douche pipe, hose*, flexible pipe for shower | anti twist, smooth, reinforced | metal, metres | handheld shower, family bathroom, low pressure | shower head | garden hose
shower curtain | bath drape, tub curtain, splash sheet | weighted, hookless, printed | colour, fabric | small bathroom, handheld shower, family bathroom | | curtain
shower screen, bath screen | glass splash guard, shower door thing, tub shield | folding, hinged, fixed | metal, centimetres | small bathroom, walk in shower, family bathroom | shower curtain |
towel rail, towel bar | towel holder, rail*, rod for towels | heated, double, swing arm | metal, centimetres | small bathroom, hotel style bathroom, radiator top | towel hook |
towel hook, robe hook | bathrobe peg, hook*, thing to hang towels | adhesive, double, over door | metal, pack | small bathroom, bathroom door, hotel style bathroom | coat hook | picture hook
toilet roll holder, toilet paper holder | loo roll stand, bog roll hanger | freestanding, lidded, recessed | metal, colour | downstairs cloakroom, small bathroom, hotel style bathroom | |
bathroom cabinet, medicine cabinet | mirror cupboard, washroom cupboard | mirrored, illuminated, corner | colour, centimetres | small bathroom, hotel style bathroom, family bathroom | mirror |
bath mat, bathroom rug | shower mat, mat*, tub rug | non slip, memory foam, bobble | colour, fabric | walk in shower, small bathroom, cold floors | doormat | doormat
bath towel, bath sheet | drying cloth, shower towel, sheet* | hooded, waffle, extra large | colour, fabric | hotel style bathroom, beach, family bathroom | tea towel | dust sheet
soap dispenser | hand wash pump, pump*, lotion bottle | automatic, wall, foaming | colour, ceramic | downstairs cloakroom, hotel style bathroom, kitchen sink | | pond pump
toilet brush | loo cleaner, wc scrubber, brush* | silicone, wall, concealed | colour, metal | downstairs cloakroom, small bathroom, hotel style bathroom | | paint brush
== Laundry and cleaning
# Machines
vacuum cleaner, vacuum | hoover, dust sucker, vaccum~ | cordless, bagless, cylinder | colour, watts | pet owners, stairs, hard floors | vacuum bag |
vacuum bag, dust bag | hoover bags, sack for vacuum, hoover sacks | fleece, paper, reusable | pack, litres | cylinder cleaner, allergy sufferers, pet owners | vacuum cleaner | vacuum cleaner
washing machine, laundry washer | clothes washer, washer*, wash machine | front loading, slimline, top loading | colour, kilos | small flat, utility room, family bathroom | tumble dryer | flat washer
tumble dryer, clothes dryer | drier for laundry, spin dryer, tumbler* | heat pump, vented, condenser | colour, kilos | small flat, utility room, garage | washing machine | tumbler
iron, clothes presser | steamer for shirts, ironing machine, flat iron | steam, travel, cordless | colour, watts | shirts, travel bag, delicate clothes | ironing board | soldering iron
ironing board, ironing table | pressing board, iron table, iron stand* | tabletop, wide, folding | colour, centimetres | shirts, small flat, utility room | iron | iron
steam mop, steam cleaner | floor steamer, hot water mop | handheld, upright, two in one | colour, watts | hard floors, tiled floors, pet owners | mop |
# Tools
clothes airer, drying rack | clothes horse, laundry stand, maiden for clothes | heated, winged, tower | metal, metres | small flat, utility room, bath top | clothes line |
clothes line, washing line | laundry rope, wash cord, line for drying | retractable, rotary, braided | metres, colour | balcony, back yard, camping trips | clothes peg |
clothes peg, clothespin | washing clips, clip*, pegs for laundry | soft grip, wooden, storm | pack, colour | balcony, delicate clothes, windy days | clothes line | cable clip
clothes hanger, coat hanger | shirt holder, hanger*, closet hook | padded, trouser, non slip | pack, wood | shirts, delicate clothes, children | | joist hanger
laundry basket, laundry hamper | dirty clothes bin, basket*, washing tub | folding, wicker, two compartment | litres, colour | utility room, small bathroom, student room | | hanging basket
broom, sweeping brush | yard brush, brush*, sweeper with stick | soft, stiff, indoor | colour, centimetres | hard floors, driveway, garage | dustpan | paint brush
dustpan | dirt shovel, pan*, dust scoop with brush | long handled, lobby, magnetic | colour, metal | hard floors, garage, pet owners | broom | frying pan
mop, floor mop | swab, wet floor wiper, thing to wash floors | flat, string, spin | colour, fabric | tiled floors, hard floors, utility room | steam mop |
bucket, pail | water carrier, mop tub, buket~ | folding, builder's, wringer | litres, colour | tiled floors, building site, car washing | mop |
squeegee, window wiper | glass scraper, shower wiper, rubber blade for glass | telescopic, shower, electric | centimetres, colour | walk in shower, window cleaning, car washing | |
microfibre cloth, cleaning cloth | duster, dust rag, wiping towel | waffle, glass, lint free | pack, colour | window cleaning, car washing, glass care | |
scouring pad, scrubbing sponge | brillo, pan scratcher, steel wool scrub | copper, non scratch, soap filled | pack, colour | barbecue grate, burnt pans, small oven | |
bin liner, refuse sack | trash bag, garbage bags, bin bag | drawstring, compostable, heavy duty | litres, pack | kitchen corner, garden waste, building site | waste bin | waste bin
drain unblocker, drain cleaner | pipe clearing liquid, plumber gel, stuff for blocked sink | gel, enzyme, granule | litres | kitchen sink, shower drain, hair blockage | plunger |
descaler, limescale remover | kalk remover, kettle cleaner, calcium stuff | liquid, citric, powder | litres, pack | hard water, coffee machine, shower head | | kettle
"""
