/* The core's state, and who does what with it. One of it exists; main.c makes it. */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attempts.h"
#include "frames.h"

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
};

/* What a descriptor in an epoll set belongs to. */
enum source {
    SOURCE_BULK = 1, /* the nested set of the containers' output */
    SOURCE_SIGNAL,
    SOURCE_SOCKET,
    SOURCE_RECONCILER, /* its pidfd */
    SOURCE_DEADLINE,
    SOURCE_PAUSE, /* the timer before the next start of the reconciler, or of the end */
    SOURCE_WATCH,
    SOURCE_INIT, /* an init's pidfd */
    SOURCE_CONTROL,
    SOURCE_STDOUT,
    SOURCE_STDERR,
};

/* LIFE_MASK: as much of a life as an epoll tag holds. */
enum { WATCH_LIMIT = 2048, KEEP_LIMIT = 2048, KEEP_FIRST_NUMBER = 10, LIFE_MASK = 0xffffff };

enum watch_kind { WATCH_PRIORITY = 1, WATCH_EVENTFD = 2, WATCH_READABLE = 3, WATCH_WRITABLE = 4 };

struct watch {
    bool taken;
    bool armed; /* WATCH_PRIORITY: what rings while it is not is not told */
    uint8_t kind;
    int fd;
    uint64_t key;
    uint32_t life; /* tells a stale event from one of the watch that has this place now */
};

struct keep {
    bool taken;
    int fd;
    char name[NAME_LIMIT + 1];
};

struct reconciler {
    char **command;
    const char *directory; /* its working directory, as ours was */
    pid_t pid;             /* 0: none */
    int pidfd;
    int socket;        /* -1: none, or it was given up */
    uint32_t interest; /* what epoll watches the socket for */
    bool sync_due;     /* E_SYNCED follows when every attempt has been told */
    uint32_t starts;
    uint32_t quick_deaths; /* in a row, each before it had lived LIFE_OF_SUCCESS */
    uint64_t started_ns;
    uint64_t generation; /* the last one it said it would act on */
    uint32_t deaths;     /* while it did */
    struct inbox in;
    struct outbox out;
};

/* running: until R_STOP or the end; ending: no reconciler any more, the containers are being killed. */
enum phase { PHASE_RUNNING, PHASE_STOPPING, PHASE_ENDING };

struct launcher {
    pid_t pid;
    uint64_t started_ns;
    enum phase phase;
    uint32_t terminating; /* the signal that asked for it, 0: none */
    uint32_t deaths_terminating;
    uint8_t status;
    bool ready_told;
    bool stop_told;
    bool over;            /* leave the loop */
    int descriptor_bound; /* from this number on no descriptor is taken */
    int namespace_of_reconciler;
    int epoll;
    int bulk;
    int signals;
    int deadline;
    int pause;
    sigset_t handled_signals;
    struct reconciler reconciler;
    struct attempts attempts;
    struct watch *watches;
    struct keep *keeps;
    uint32_t keeps_end; /* no place from here on is taken: what was never used takes no memory */
    uint8_t global[RECORD_LIMIT];
    uint32_t global_size;
};

/* host.c: checks and resets; each says on stderr what is wrong and gives -1. */
int check_kernel(void);
int reset_process(struct launcher *l);
/*
 * Creates the directory if need be and locks it for the life of the process (flock(2) on DIR/.lock, which holds our
 * pid).
 */
int lock_directory(const char *directory);

/*
 * seal.c: runs the program again from a sealed memfd, so that nobody can write what inits are made of (CVE-2019-5736).
 */
int seal_program(char **argv);

/* namespaces.c: the reconciler's mount namespace (gives its descriptor), then our own minimal one. */
int make_reconciler_namespace(void);
int enter_minimal_namespace(void);

/* notify.c: tells the init system, when it asked for it (NOTIFY_SOCKET, sd_notify(3)). */
void notify_open(void);
void notify_init_system(const char *state);

/* spawn.c: a new reconciler process at the other end of a new socket pair. -1 and errno when there cannot be one. */
int spawn_reconciler(struct launcher *l);

/* supervise.c: the reconciler's life, and the end. */
void start_reconciler(struct launcher *l);
/* It did what it must not: ends it; its pidfd does the rest. */
void end_reconciler(struct launcher *l, const char *reason);
void handle_reconciler_exit(struct launcher *l);
void handle_pause(struct launcher *l);
void handle_termination(struct launcher *l, uint32_t signal);
/* R_STOP: the end begins, with this exit status. */
void handle_stop(struct launcher *l, uint8_t status);

/* talk.c: frames from and to the reconciler. */
void handle_socket(struct launcher *l);
/* What a dead reconciler had still sent is done. */
void handle_last_requests(struct launcher *l);
/* Sends what has changed and what is queued. */
void flush_to_reconciler(struct launcher *l);
/* Queues everything that a new reconciler must know, E_SYNCED last. */
void send_greeting(struct launcher *l);
/* `why` NULL: it went well. Serial 0: nobody waits. */
void send_result(struct launcher *l, uint32_t serial, const struct failure *why);
/* An event without fields, or with one of the given width. Dropped when no reconciler listens: it asks anew. */
void send_event(struct launcher *l, uint16_t type, uint64_t value, size_t width);
/* Somebody listens. */
bool is_connected(const struct launcher *l);

/* requests.c: one frame of the reconciler. False when it is malformed. */
bool handle_request(struct launcher *l, struct frame *frame);

/* watches.c */
int watch_set(struct launcher *l, uint64_t key, uint8_t kind, int fd, struct failure *why);
int watch_rearm(struct launcher *l, uint64_t key, struct failure *why);
void watch_drop(struct launcher *l, uint64_t key);
void watch_drop_all(struct launcher *l);
void handle_watch(struct launcher *l, uint32_t place, uint32_t life);
/* CLOCK_BOOTTIME, 0: none. */
int deadline_set(struct launcher *l, uint64_t boottime_ns);
void handle_deadline(struct launcher *l);

/* keeps.c: named descriptors. keep_set takes the descriptor over. */
int keep_set(struct launcher *l, const char *name, int fd, struct failure *why);
void keep_drop(struct launcher *l, const char *name);

/* loop.c */
int loop_open(struct launcher *l);
/* Until everything has ended; gives the exit status. */
int loop_run(struct launcher *l);
int loop_add(int epoll, int fd, uint32_t events, enum source source, uint32_t place, uint32_t life);
int loop_change(int epoll, int fd, uint32_t events, enum source source, uint32_t place, uint32_t life);

/* CLOCK_BOOTTIME in ns. */
uint64_t boottime_now(void);
/* One line on stderr, `northstate: ` before it. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
