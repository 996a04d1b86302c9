"""Composed retrieval as its authors score it: queries of an image and a text; corpora of images, of texts, of both."""
