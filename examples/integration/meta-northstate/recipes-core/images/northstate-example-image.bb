SUMMARY = "A small image whose containers are there at the first boot"
DESCRIPTION = "core-image-minimal with northstate, packages and the first document."
LICENSE = "Apache-2.0"

inherit core-image
inherit northstate_image

# What the first boot finds: local.conf names the files, see northstate_image.bbclass.
