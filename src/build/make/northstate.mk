# Packages for northstate out of make: include this, and say for each package what it is made of.
#
#   include $(shell northstate path make)/northstate.mk
#
#   app.npk: app                      # what make has to build first
#   app.npk: NPK_MANIFEST = manifest.yaml
#   app.npk: NPK_ROOT = root          # further files for the image
#   app.npk: NPK_ADD = /app=app       # single files, /path=file
#   app.npk: NPK_FLAGS = --key integrator.key --arch aarch64
#
# The package is made again when one of these has changed, or a file of the root directory: a file NAME.npk.d remembers
# them. For packages in other directories than this one, set NPK_PACKAGES to their names before the include.
NORTHSTATE ?= northstate
NPK_MANIFEST ?= manifest.yaml
NPK_PACKAGES ?= $(patsubst %.d,%,$(wildcard *.npk.d))

%.npk:
	$(NORTHSTATE) pack --manifest $(NPK_MANIFEST) $(if $(NPK_ROOT),--root $(NPK_ROOT)) $(NPK_ADD:%=--add %) $(NPK_FLAGS) \
		--out $@ --depfile $@.d

-include $(NPK_PACKAGES:%=%.d)
