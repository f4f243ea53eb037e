"""Containers that hold a disk: one module a format, an ordered registry, one Img_Info for all of them."""
