/* The two directories of the launcher's own, minimal root (core/namespaces.c). */
#pragma once

/* Where an init moves its root. */
static const char new_root[] = "/root";

/* Where the null device is, once it is needed. */
static const char devices_directory[] = "/devices";
