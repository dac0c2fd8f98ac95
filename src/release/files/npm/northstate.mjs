#!/usr/bin/env node
// The command line of northstate, with whichever Node there is.
import '../dist/main.mjs';
