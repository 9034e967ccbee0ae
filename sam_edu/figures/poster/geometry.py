"""The poster's measures: A2, its lanes, and the sizes of what is drawn on it."""

# A2, landscape, at five pixels to a millimetre. All positions and sizes below are in these pixels, from the top left.
WIDE, HIGH, DPI = 2970, 2100, 127

# The three floors: the tokens' lane, the machinery between the lanes, the image's lane.
TOKENS_TOP, TOKENS_BOTTOM, IMAGE_TOP, IMAGE_BOTTOM = 352, 690, 1502, 1836
PANEL, STRIPE = (70, 256), (35, 128)  # a panel of tokens, a stripe of queries or keys
TOKENS_AT, IMAGE_AT = 440, 1721  # where the two streams flow
MAP, GAP = 110, 6
LOGIT_LIMIT = 6.0  # the colours of logits end here: the sigmoid is within 0.0025 of 0 or 1
