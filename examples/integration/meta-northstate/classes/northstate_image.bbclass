# Puts packages and the first document into the root file system of an image, which comes up with them:
#
#   inherit northstate_image
#   NORTHSTATE_PACKAGES = "/srv/packages/hello-1.0.0.npk"
#   NORTHSTATE_DOCUMENT = "/srv/documents/desired.yaml"
#   NORTHSTATE_KEYS = "/srv/keys/integrator.pub"
#
# The packages lie in a directory of the root, which the document names as a repository: /usr/share/northstate/packages.

NORTHSTATE_PACKAGES ?= ""
NORTHSTATE_DOCUMENT ?= ""
NORTHSTATE_KEYS ?= ""

IMAGE_INSTALL:append = " northstate"

northstate_seed[doc] = "Puts packages, keys and the first document into the root file system"
northstate_seed() {
    install -d ${IMAGE_ROOTFS}${datadir}/northstate/packages ${IMAGE_ROOTFS}${sysconfdir}/northstate
    for each in ${NORTHSTATE_PACKAGES}; do
        install -m 0644 $each ${IMAGE_ROOTFS}${datadir}/northstate/packages
    done
    for each in ${NORTHSTATE_KEYS}; do
        install -m 0644 $each ${IMAGE_ROOTFS}${sysconfdir}/northstate
    done
    if [ -n "${NORTHSTATE_DOCUMENT}" ]; then
        install -m 0644 ${NORTHSTATE_DOCUMENT} ${IMAGE_ROOTFS}${sysconfdir}/northstate/desired.yaml
    fi
}

ROOTFS_POSTPROCESS_COMMAND += "northstate_seed"

# An image is made again when one of them has changed.
do_rootfs[file-checksums] += "${@' '.join(each + ':True' for each in (d.getVar('NORTHSTATE_PACKAGES') + ' ' + d.getVar('NORTHSTATE_DOCUMENT') + ' ' + d.getVar('NORTHSTATE_KEYS')).split())}"
