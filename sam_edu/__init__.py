"""sam_edu: the mask decoder of Segment Anything, taught tensor by tensor."""
