# nooelint: oelint.vars.noncoreoverride - a path alone changes no kernel
FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

# Made by: northstate check -o kconfig. Only where the distribution asks for it: DISTRO_FEATURES:append = " northstate"
# nooelint: oelint.vars.noncoreoverride - DISTRO_FEATURES is what decides
SRC_URI:append = " ${@bb.utils.contains('DISTRO_FEATURES', 'northstate', 'file://northstate.cfg', '', d)}"
