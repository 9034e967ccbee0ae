"""The poster's measures: A2, its lanes, and the sizes of what is drawn on it."""

# A2, landscape, at five pixels to a millimetre. All positions and sizes below are in these pixels, from the top left.
WIDE, HIGH, DPI = 2970, 2100, 127
SMALL = 16  # the smallest letters: 9.07 points on paper

# The three floors: the tokens' lane, the machinery between the lanes, the image's lane.
TOKENS_TOP, TOKENS_BOTTOM, IMAGE_TOP, IMAGE_BOTTOM = 352, 690, 1502, 1836
PANEL, STRIPE = (70, 256), (35, 128)  # a panel of tokens, a stripe of queries or keys
TOKENS_AT, IMAGE_AT = 440, 1721  # where the two streams flow
MAP, GAP = 110, 6
LOGIT_LIMIT = 6.0  # the colours of logits end here: the sigmoid is within 0.0025 of 0 or 1

# Where the parts begin, from left to right: the two blocks, (6-1) above (5), (6-2) above (6-3), and the outputs.
BLOCKS, LAST, PRODUCT, OUTPUTS = (470, 1314), 2158, 2404, 2655
STEP_4 = 592  # step (4), from the left of its block
PHOTOGRAPH = (60, 868, 340)  # the image with the click: its corner and its longer side
CLICK_TOKEN = 238  # the middle of the click's token
MEETING = (2636, 968)  # where tokens and image meet, in the product (6-3)
