/* Types of frames; native/wire/wire.ts has the same numbers, README.md says what is in each. */
#pragma once

enum request_type {
    R_PREPARE = 1,
    R_GO = 2,
    R_KILL = 3,
    R_FORGET = 4,
    R_RECORD = 5,
    R_WATCH = 6,
    R_REARM = 7,
    R_UNWATCH = 8,
    R_DEADLINE = 9,
    R_READ = 10,
    R_KEEP = 11,
    R_DROP = 12,
    R_READY = 13,
    R_TRYING = 14,
    R_STOP = 15,
    R_NOP = 16,
    R_SLEEP = 17,
    R_ENDING = 18,
    R_STATUS = 19,
    R_LOCK = 20,
    R_JOIN = 21,
    R_SIGNAL = 22,
    R_HEALTH = 23,
};

enum event_type {
    E_HELLO = 64,
    E_ATTEMPT = 65,
    E_GLOBAL = 66,
    E_FD = 67,
    E_SYNCED = 68,
    E_RESULT = 69,
    E_OUTPUT = 70,
    E_DATA = 71,
    E_WATCH = 72,
    E_DEADLINE = 73,
    E_TERMINATE = 74,
    E_ASK = 75,
    E_LEFT = 76,
};
