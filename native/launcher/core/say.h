/* The launcher's own log. */
#pragma once

/*
 * One line on stderr, `northstate: ` before it. It is lost rather than waited for when nobody reads: a pipe that takes
 * some bytes takes a line (pipe(7), PIPE_BUF).
 */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
