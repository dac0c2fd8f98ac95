SUMMARY = "Declarative container runtime for embedded Linux"
DESCRIPTION = "One YAML document says which packages are installed, mounted and running."
HOMEPAGE = "https://northstate.example.org/"
BUGTRACKER = "https://northstate.example.org/"
SECTION = "admin"
CVE_PRODUCT = "northstate nodejs:node.js"
LICENSE = "Apache-2.0 & MIT"
# nooelint: oelint.var.licenseremotefile - what each part says is in its copyright file
LIC_FILES_CHKSUM = "\
    file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10 \
    file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302 \
"

# What `npm run release` has made lies in this folder (local.conf may name another one).
NORTHSTATE_RELEASE ?= "${TOPDIR}/northstate-release"
NORTHSTATE_ARCH = "amd64"
NORTHSTATE_ARCH:aarch64 = "arm64"

SRC_URI = "file://${NORTHSTATE_RELEASE}/northstate-${PV}-${NORTHSTATE_ARCH}.tar.zst"

S = "${UNPACKDIR}/northstate-${PV}-${NORTHSTATE_ARCH}"

inherit systemd

COMPATIBLE_HOST = "(aarch64|x86_64).*-linux"

SYSTEMD_SERVICE:${PN} = "northstate.service"

# Built and stripped by the release: its bytes are those that were tested.
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_SYSROOT_STRIP = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    sh ${S}/install.sh --root ${D}
    # The unit goes where this distribution has units, with /usr merged or not.
    if [ ! -e ${D}${systemd_system_unitdir}/northstate.service ]; then
        install -d ${D}${systemd_system_unitdir}
        mv ${D}${nonarch_libdir}/systemd/system/northstate.service ${D}${systemd_system_unitdir}
        rmdir ${D}${nonarch_libdir}/systemd/system ${D}${nonarch_libdir}/systemd
    fi
}

FILES:${PN} += "${datadir} ${nonarch_libdir} ${systemd_system_unitdir}"

CONFFILES:${PN} = "${sysconfdir}/northstate/config.yaml"

RDEPENDS:${PN} = "libgcc libseccomp libstdc++"

# nooelint: oelint.vars.insaneskip - the programs come stripped, see above
INSANE_SKIP:${PN} = "already-stripped ldflags"
