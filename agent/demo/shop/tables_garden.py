"""Concepts of plumbing, electrical, building and garden; `concepts.py` says how a row is read."""

GARDEN = """
== Plumbing and heating
# Plumbing
faucet, mixer tap | tap*, spigot, fawcet~, water outlet | pull out, wall, monobloc | metal, colour | kitchen sink, small bathroom, utility room | | thread tap
thread tap, threading tool | tap*, thread cutter, cutter* for threads | taper, bottoming, spiral | thread, pack | metalwork, car repair, workshop | drill bit | faucet
outdoor tap, hose bib | tap*, garden spigot, outside faucet | lever, frost proof, lockable | metal, diameter | brick wall, back yard, garage | faucet | faucet
sink stopper, basin waste | plug*, bath bung, drain stop, stopper* | pop up, slotted, clicker | metal, diameter | kitchen sink, bath edge, downstairs cloakroom | | electrical plug
bottle trap, p trap | trap*, u bend, siphon, smell stop | telescopic, anti vacuum, slim | metal, diameter | kitchen sink, small bathroom, washing machine | | mouse trap
copper pipe, copper tube | plumbing line, pipe*, water tubing | coated, straight, coiled | diameter, metres | boiler, plumbing work, radiator | pipe fitting | drainpipe
pipe fitting, pipe connector | elbow joint, coupling, plumbing corner | push fit, compression, soldered | diameter, pack | old pipes, boiler, radiator | copper pipe |
thread seal tape, ptfe tape | tape*, teflon, plumbers white tape, leak wrap | gas, high density, wide | metres, pack | old pipes, radiator, shower head | | duct tape
plunger, force cup | sink pusher, toilet sucker, plumbers helper | bellows, flanged, mini | colour, centimetres | kitchen sink, hair blockage, downstairs cloakroom | drain unblocker |
stopcock, shutoff valve | water stop, valve*, main tap | lever, compression, mini | diameter, metal | old pipes, washing machine, boiler | | radiator valve
cistern float valve, ballcock | valve*, toilet tank filler, floating ball thing | bottom entry, side entry, quiet | diameter, metal | downstairs cloakroom, hard water, old toilets | | radiator valve
water heater, boiler | geyser, hot water tank, heater* for water | instant, under sink, storage | litres, watts | caravan, kitchen sink, small flat | | fan heater
# Heating
radiator | heating panel, rad, heater* on wall | column, double panel, vertical | colour, centimetres | hallway, small bathroom, loft room | radiator valve |
radiator valve, thermostatic valve | trv, valve*, heating knob, knob* for heating | smart, angled, lockshield | metal, diameter | old pipes, loft room, hotel style bathroom | radiator | stopcock
fan heater, space heater | heater*, blower for warm air, little warmer | ceramic, tower, oscillating | watts, colour | home office, caravan, cold evenings | patio heater |
pedestal fan, standing fan | fan*, ventilator, cool air blower | oscillating, quiet, remote | watts, colour | summer heat, home office, bedroom corner | ceiling fan | extractor fan
ceiling fan | fan*, punkah, air mixer above | reversible, with lamp, low profile | metal, colour | summer heat, conservatory, loft room | pedestal fan | pedestal fan
extractor fan, bathroom fan | fan*, steam remover, vent sucker | humidity, inline, quiet | diameter, watts | small bathroom, utility room, shower corner | | pedestal fan
wood burner, log burner | stove*, fireplace insert, iron fire | multi fuel, slim, contemporary | kilos, colour | family room, garden room, cold evenings | firewood | cooker
firewood, fire log | kindling, wood to burn, logs | kiln dried, hardwood, netted | kilos, pack | campfire, cold evenings, family room | wood burner |
smoke alarm, fire alarm | smoke detector, fire sensor, beeper on ceiling | optical, wireless, mains | volts, pack | hallway, loft room, kitchen fumes | |
== Lighting and electrical
# Lighting
light bulb, led lamp | bulb*, globe, lightbulb, glow pear | candle, reflector, dimmable | watts, pack | hallway, reading corner, conservatory | | flower bulb
ceiling light, pendant light | chandelier, lamp on ceiling, hanging lamp, light* | flush, cluster, dome | metal, colour | hallway, kitchen island, bedroom corner | floor lamp |
floor lamp, standard lamp | standing light, tall lamp, light* on stand, torchiere | arc, tripod, uplighter | metal, colour | reading corner, bay window, home office | ceiling light |
table lamp, bedside lamp | desk light, light* for nightstand, small lamp | touch, ceramic base, clamp | colour, ceramic | reading corner, nursery, home office | floor lamp |
lamp shade, light shade | lamp cover, cover* for lamp, lantern paper | drum, empire, pleated | colour, fabric | bedroom corner, nursery, hallway | table lamp | roller blind
flashlight, hand lamp | torch*, pocket light, flash light, beam | head worn, rechargeable, dynamo | volts, colour | camping trips, car repair, power cuts | work light | blowtorch
work light, site lamp | flood light for work, halogen stand, garage lamp | tripod, rechargeable, magnetic | watts, volts | building site, car repair, workshop | flashlight |
fairy lights, string lights | christmas lights, twinkle chain, chain* of lights | solar, warm white, icicle | metres, pack | patio, balcony, christmas tree | solar light |
solar light, garden lamp | path lamp, light* for garden, sun lantern | spike, motion, bollard | pack, colour | driveway, patio, flower beds | fairy lights |
# Electrical
extension lead, extension cord | power strip, multi plug, long cable | surge protected, reel, switched | metres, colour | home office, building site, back yard | power socket |
electrical plug, mains plug | plug*, three pin, plug top, connector for appliance | fused, rewirable, rubber | volts, colour | kettles, extension leads, lamps | | wall anchor
power socket, wall outlet | socket*, receptacle, plug point, power point | double, usb, weatherproof | colour, metal | kitchen wall, home office, garage | electrical plug | socket set
light switch, wall switch | on off button, dimmer, lamp knob, knob* for light | dimmer, two way, smart | colour, metal | hallway, nursery, bathroom wall | |
plug timer, timer switch | timer*, automatic socket, programmer | mechanical, digital, weekly | volts, colour | christmas tree, lamps, aquarium | kitchen timer | kitchen timer
electric cable, twin core wire | flex, wire*, leccy lead, power cord | round, armoured, flat | metres, colour | electrical work, garden shed, lamps | | wire fence
cable clip, wire staple | clip*, cord holder, wire tack | round, flat, self adhesive | pack, diameter | electrical work, skirting boards, home office | cable tie | clothes peg
fuse, fuse cartridge | breaker cartridge, blown thing in plug, amp stick | ceramic, slow, glass | pack, volts | kettles, extension leads, car repair | |
electrical tape, insulation tape | tape*, black wire wrap, pvc wrap | self fusing, flame retardant, multi colour | metres, colour | electrical work, lamps, bicycle | duct tape | duct tape
battery, dry cell | aa thing, power cell, batterie~ | rechargeable, alkaline, lithium | pack, volts | toys, smoke alarms, remote controls | battery charger |
battery charger | cell loader, charging dock, power refill | rapid, universal, trickle | volts, pack | toys, car repair, remote controls | battery | battery
doorbell, door chime | bell*, buzzer, ringer for door | wireless, video, plug in | colour, volts | front door, gates, elderly person | |
== Building
# Materials
plasterboard, drywall | sheetrock, gypsum panel, wallboard | moisture resistant, fire rated, square edge | metres, pack | ceilings, loft room, small bathroom | |
cement, portland cement | mortar powder, concret~, stuff for bricks | rapid, white, waterproof | kilos, pack | brick wall, paving slabs, fence posts | grout |
paving slab, patio flag | stone plate, pavement tile, walkway block | riven, smooth, circular | centimetres, colour | patio, driveway, back yard | gravel |
gravel, pebble stone | chippings, shingle, small stones | rounded, crushed, slate | kilos, colour | driveway, flower beds, pond | paving slab |
floor tile, porcelain tile | ceramic floor, stone square, tyle~ | matt, wood effect, patterned | centimetres, colour | tiled floors, walk in shower, hallway | grout |
laminate floor, click flooring | fake parquet, wood look boards, laminat~ | water resistant, herringbone, wide plank | wood, colour | hallway, home office, loft room | |
skirting board, baseboard | floor edge trim, wall bottom moulding, plinth | ogee, torus, primed | wood, metres | hallway, loft room, nursery | |
decking board, deck plank | terrace wood, patio boards, dek timber~ | grooved, composite, reversible | wood, metres | patio, balcony, pond | wood stain |
loft insulation, mineral wool | attic padding, glass wool, rockwool, lagging | roll, slab, foil backed | metres, pack | loft room, garage, garden room | |
gutter, rain gutter | eavestrough, roof drain, water channel | half round, square, deep | metres, colour | garden shed, garage, conservatory | drainpipe |
drainpipe, downspout | rain pipe, pipe* from roof, downpipe | round, square, cast effect | metres, colour | garden shed, garage, conservatory | gutter | copper pipe
roofing felt, bitumen sheet | tar paper, shed roof cover, sheet* for roof | mineral, self adhesive, heavy duty | metres, colour | garden shed, garage, summer house | tarpaulin | dust sheet
tarpaulin, tarp | waterproof sheet, sheet*, truck cover, cover* | eyeleted, clear, heavy duty | metres, colour | building site, boats, campfire | dust sheet | dust sheet
dust mask, respirator | face filter, breathing cover, filter* for face | valved, folding, reusable | pack, colour | plasterboard, spray painting, old paint | | water filter
safety goggles, protective glasses | eye shield, specs for work, eye protectors | wrap around, anti fog, over | colour, pack | metalwork, demolition, spray painting | |
ear defenders, hearing protection | ear muffs, noise cans, ear plugs | folding, electronic, helmet | colour, pack | demolition, chainsaw work, children | |
== Garden
# Tools
lawn mower, grass cutter | mower, lawnmover~, cutter*, grass machine | rotary, cylinder, robot | volts, centimetres | small gardens, big lawns, slopes | mower blade, grass trimmer |
mower blade, lawn cutting blade | lawn mower knife, grass machine spare, cutter* spare | mulching, flymo style, bar | centimetres, metal | big lawns, old machines, slopes | lawn mower | lawn mower
grass trimmer, string trimmer | strimmer, weed whacker, edge cutter for grass | cordless, petrol, telescopic | volts, centimetres | slopes, lawn edges, small gardens | lawn mower | hedge trimmer
trimmer line, cutting cord | strimmer wire, wire*, weed whacker string | twisted, square, quiet | metres, diameter | lawn edges, brambles, slopes | grass trimmer | grass trimmer
hedge trimmer, hedge cutter | bush clipper, cutter*, electric shears | pole, cordless, petrol | volts, centimetres | tall hedges, topiary, small gardens | garden shears | grass trimmer
chainsaw, chain saw | log cutter, saw*, tree saw | petrol, cordless, top handle | volts, centimetres | firewood, big trees, storms | chainsaw chain | hand saw
chainsaw chain, saw chain | chain*, cutting loop, spare teeth for tree saw | low kick, ripping, half chisel | centimetres, pack | firewood, big trees, old machines | chainsaw | chain
pruning shears, secateurs | rose cutter, cutter*, plant scissors, secaturs~ | bypass, anvil, ratchet | metal, centimetres | roses, left handed people, fruit trees | lopper, garden shears |
lopper, branch cutter | long arm clippers, cutter*, big plant scissors | telescopic, geared, anvil | metal, centimetres | fruit trees, brambles, tall hedges | pruning shears | wire cutter
garden shears, hedge shears | big scissors for bushes, grass scissors, snips* | wavy, long handled, topiary | metal, centimetres | topiary, lawn edges, tall hedges | hedge trimmer |
spade, digging spade | digger, earth shovel, turf cutter, spayd~ | border, drain, long handled | metal, wood | heavy clay, flower beds, fence posts | shovel |
shovel | scoop for gravel, snow pusher, shuvel~ | square mouth, folding, snow | metal, wood | gravel drives, snow, building site | spade |
garden fork, digging fork | fork*, pitch tines, soil turner | border, potato, compost | metal, wood | heavy clay, potatoes, compost heap | spade | cutlery
rake, leaf rake | leaf comb, grass scratcher, raker | fan, telescopic, landscape | metal, wood | big lawns, flower beds, gravel drives | leaf blower |
hoe, dutch hoe | weed chopper, soil scraper, scraper* for weeds | draw, swoe, oscillating | metal, wood | flower beds, vegetable plot, heavy clay | |
trowel, hand trowel | tiny spade, planting spoon, small shovel | transplanting, narrow, stainless | metal, wood | flower beds, window boxes, bulbs planting | spade | filling knife
leaf blower, garden blower | leaf hoover, hoover* for leaves, wind gun | backpack, two in one, cordless | volts, watts | big lawns, driveway, gutters | rake | vacuum cleaner
wheelbarrow, garden cart | barrow, wheel barrel~, one wheeled trolley | folding, twin wheel, tipping | litres, metal | building site, compost heap, big lawns | sack truck |
gardening gloves, work gloves | hand protection, thorn mitts, gloves* | thorn proof, latex coated, gauntlet | colour, fabric | roses, brambles, children | | oven glove
# Watering
garden hose, hosepipe | hose*, water tube, sprinkler line | expanding, anti kink, flat | metres, colour | big lawns, back yard, car washing | hose reel | shower hose
hose reel, hose cart | hose* winder, pipe roller, roller* for pipe | auto rewind, wall, wheeled | metres, colour | brick wall, patio, back yard | garden hose | garden hose
sprinkler, lawn sprayer | irrigation spinner, rain maker, water turner | oscillating, impulse, pop up | metres, metal | big lawns, vegetable plot, summer heat | garden hose |
watering can, sprinkling can | can* for plants, flower jug, wattering can~ | long reach, indoor, rose spout | litres, colour | window boxes, greenhouse plants, seedlings | | tin opener
rain barrel, water butt | rainwater tank, barrel, drum for rain | slim, wall, decorative | litres, colour | garden shed, vegetable plot, patio | |
water timer, irrigation computer | timer*, hose clock, auto watering box | two zone, bluetooth, mechanical | volts, colour | greenhouse plants, vegetable plot, holidays | sprinkler | kitchen timer
pond pump, fountain pump | pump*, water feature motor, pond mover | solar, filter, submersible | watts, volts | koi, waterfall, small gardens | pond filter | air compressor
pond filter, pond clarifier | filter*, green water cleaner, koi cleaner | pressurised, box, floating | litres, watts | koi, waterfall, small gardens | pond pump | water filter
pressure washer, power washer | jet wash, washer*, karcher, patio cleaner gun | compact, petrol, cordless | watts, metres | driveway, car washing, patio | | washing machine
# Growing
planter, plant pot | flowerpot, tub for plants, pot* | self watering, square, hanging | ceramic, litres | balcony, patio, herbs | window box | saucepan
window box, balcony trough | sill planter, box* for flowers, ledge pot | self watering, hook on, coir | colour, centimetres | balcony, herbs, kitchen window | planter | letter box
hanging basket, suspended planter | basket*, dangling pot, flower bowl on chain | wicker, wire, self watering | centimetres, colour | patio, front door, balcony | planter | laundry basket
raised planter, raised garden bed | bed*, veg trug, vegetable box, box* for vegetables | stackable, timber, corner | wood, metres | vegetable plot, herbs, patio | planter | bed frame
potting soil, compost | dirt, earth for plants, peat | peat free, ericaceous, seed | litres, pack | seedlings, window boxes, roses | fertiliser | composter
composter, compost bin | rot box, garden waste tub, worm bin | tumbling, thermo, slatted | litres, colour | vegetable plot, small gardens, kitchen scraps | | waste bin
fertiliser, plant food | manure, feed for plants, fertalizer~ | slow release, liquid, organic | kilos, litres | roses, big lawns, tomatoes | potting soil |
weedkiller, herbicide | roundup, weed spray, dandelion poison | concentrate, ready to use, selective | litres, pack | driveway, big lawns, brambles | weed membrane |
weed membrane, landscape fabric | weed mat, mat*, ground cloth | woven, spun, heavy duty | metres, colour | gravel drives, flower beds, paths | weedkiller | doormat
grass seed, lawn seed | turf grains, gras seeds~, green for lawn | shade, hard wearing, quick | kilos, pack | big lawns, bald patches, shade | fertiliser |
flower bulb, spring bulb | bulb*, tulip onion, daffodil root | tulip, mixed, dwarf | pack, colour | flower beds, window boxes, shade | | light bulb
plant support, garden stake | bamboo pole, cane, tomato stick | spiral, obelisk, ring | metres, metal | tomatoes, roses, sweet peas | trellis |
trellis, lattice panel | climbing frame for plants, rose ladder, plant grid | expanding, fan, willow | wood, metres | roses, sweet peas, brick wall | plant support | ladder
horticultural fleece, frost cover | plant blanket, cover* for plants, winter jacket for plants | jacket, roll, tunnel | metres, pack | seedlings, winter frost, fruit trees | | throw
greenhouse, glasshouse | hot house, growing tent, plant shed | lean to, mini, polycarbonate | metres, colour | tomatoes, seedlings, small gardens | garden shed | garden shed
# Outdoor living
garden bench, park bench | bench*, outdoor seat, long seat outside | storage, curved, swing | wood, metal | patio, roses, small gardens | | workbench
parasol, patio umbrella | sun shade, sunbrella, beach brolly | cantilever, tilting, half | metres, colour | patio, balcony, summer heat | gazebo |
gazebo, party tent | pavilion, canopy, marquee | pop up, hexagonal, hardtop | metres, colour | garden parties, patio, camping trips | parasol |
hammock | hanging bed, bed* between trees, swing net | with stand, double, travel | colour, fabric | camping trips, balcony, summer heat | | bed frame
sun lounger, deck chair | chaise longue, sunbed, tanning chair, bed* for sun | folding, reclining, wheeled | wood, fabric | patio, balcony, beach | garden bench | bed frame
barbecue, outdoor grill | bbq, braai, barbie, grill* | charcoal, gas, portable | metal, centimetres | garden parties, balcony, camping trips | barbecue cover |
barbecue cover, grill jacket | bbq hood, cover*, bbq coat, braai rain bag | heavy duty, round, wagon | centimetres, colour | winter frost, gas models, storms | barbecue | barbecue
charcoal, lump coal | bbq fuel, coals, briquettes | restaurant, instant light, coconut | kilos, pack | garden parties, camping trips, beach | firewood | barbecue
patio heater, outdoor heater | heater*, mushroom flame, terrace warmer | infrared, gas, tabletop | watts, metal | patio, garden parties, cold evenings | fire pit | fan heater
fire pit, fire bowl | brazier, chiminea, campfire ring | smokeless, folding, cast iron | metal, centimetres | patio, garden parties, cold evenings | patio heater |
garden shed, tool shed | outhouse, lawn hut, garden hut | apex, pent, overlap | wood, metres | small gardens, bicycles, back yard | greenhouse |
fence panel, fencing panel | garden divider, privacy wall, hoarding | lap, slatted, closeboard | wood, metres | small gardens, back yard, slopes | fence post |
fence post, fence stake | pole for fence, upright, picket | notched, square, round | wood, metres | heavy clay, back yard, slopes | fence panel |
wire fence, wire mesh | chicken wire, wire*, netting for rabbits | hexagonal, welded, coated | metres, metal | vegetable plot, chickens, back yard | fence panel | electric cable
doormat, entrance mat | welcome rug, mat*, shoe scraper | coir, half moon, rubber backed | colour, centimetres | front door, hallway, pet owners | | bath mat
bird feeder, seed feeder | bird table, bird restaurant, tit station | squirrel proof, window, hanging | colour, metal | small gardens, balcony, winter frost | birdhouse |
birdhouse, nest box | box* for birds, tit home, bird hotel | robin, camera, slate roof | wood, colour | small gardens, fruit trees, brick wall | bird feeder | letter box
mouse trap, rodent trap | trap*, mice catcher, rat snapper | humane, snap, electronic | pack, colour | garage, garden shed, loft room | | bottle trap
fly screen, insect screen | mosquito net, bug mesh, midge curtain | magnetic, roll up, pleated | centimetres, colour | kitchen window, bedroom window, caravan | | curtain
"""
