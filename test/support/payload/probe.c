/*
 * The process of the tests' containers: static, without a C library, so that its first instruction is ours.
 * Its arguments are a little program, done from left to right; at the end it exits with 0.
 *
 *   print FD TEXT    writes TEXT and a newline           args             writes its arguments, one per line
 *   cat PATH         copies a file to stdout             env              writes its environment, one per line
 *   write PATH TEXT  makes or replaces a file            ids              writes uid, gid, pid, ppid, sid, pgid
 *   stamp PATH       appends the CLOCK_MONOTONIC ns of   fds              writes the numbers of its open descriptors
 *                    its first instruction; - is stdout  syscall N        makes system call N, writes what it gives
 *   eat MIB          takes that much memory              orphans N        leaves N zombies for PID 1 to reap
 *   wait MS          sleeps for MS milliseconds          ignore N         ignores signal N
 *   sleep            sleeps until a signal ends it       signals          writes each signal that comes; TERM ends it
 *   spin             computes without end                flood            writes lines without end
 *   raise N          sends itself signal N               exit N           exits with N
 *   now              writes the CLOCK_MONOTONIC ns     send KIND PATH TEXT sends TEXT to the socket PATH of SOCK_* KIND
 *   call N A B C     makes system call N with three numbers, writes what it gives
 *   receive FD       writes a message that came to a socket, from its first connection when it listens, and the uid of
 *                    its sender when that is told (SO_PASSCRED)
 *   child-eats MIB   has a child take that much memory, and waits for its end
 *   hear FD N        copies N lines to stdout            count FD N       asks a console N times about containers that
 *                                                                         are not there, each another; exits with 99
 *                                                                         when an answer is not the one that is due
 *
 * A call that fails ends it with the errno as exit code.
 */
#include "numbered-calls.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

/* struct sigaction as the kernel has it (rt_sigaction(2)). */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

__attribute__((noreturn)) static void leave(long code) {
    for (;;) CALL(SYS_exit_group, code);
}

static long must(long result) {
    if (result < 0) leave(-result);
    return result;
}

static size_t length(const char *text) {
    size_t count = 0;
    while (text[count]) count++;
    return count;
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static char **program;

static void print(long fd, const char *text) { must(CALL(SYS_write, fd, (long)text, (long)length(text))); }

static void print_line(const char *text) {
    print(1, text);
    print(1, "\n");
}

static void print_number(const char *label, long number) {
    char digits[24];
    char *first = digits + sizeof digits;
    unsigned long left = number < 0 ? -(unsigned long)number : (unsigned long)number;
    *--first = '\0';
    *--first = '\n';
    do {
        *--first = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0) *--first = '-';
    print(1, label);
    print(1, first);
}

static const char *word(void) {
    if (*program == NULL) leave(EINVAL);
    return *program++;
}

static long number(void) {
    long value = 0;
    for (const char *digit = word(); *digit; digit++) {
        if (*digit < '0' || *digit > '9') leave(EINVAL);
        value = value * 10 + (*digit - '0');
    }
    return value;
}

static void print_all(char **lines) {
    while (*lines != NULL) print_line(*lines++);
}

static void cat(const char *path) {
    static char buffer[4096];
    long fd = must(CALL(SYS_openat, AT_FDCWD, (long)path, O_RDONLY));
    long count;
    while ((count = must(CALL(SYS_read, fd, (long)buffer, sizeof buffer))) > 0)
        must(CALL(SYS_write, 1, (long)buffer, count));
    must(CALL(SYS_close, fd));
}

static void write_file(const char *path, const char *text, long flags) {
    long fd = must(CALL(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | flags, 0644));
    must(CALL(SYS_write, fd, (long)text, (long)length(text)));
    must(CALL(SYS_close, fd));
}

static void write_stamp(const char *path, const char *stamp) {
    if (same(path, "-"))
        print(1, stamp);
    else
        write_file(path, stamp, O_APPEND);
}

static void print_ids(void) {
    print_number("uid ", CALL(SYS_getuid));
    print_number("gid ", CALL(SYS_getgid));
    print_number("pid ", CALL(SYS_getpid));
    print_number("ppid ", CALL(SYS_getppid));
    print_number("sid ", CALL(SYS_getsid, 0));
    print_number("pgid ", CALL(SYS_getpgid, 0));
}

static void print_descriptors(void) {
    for (long fd = 0; fd < 1024; fd++)
        if (CALL(SYS_fcntl, fd, F_GETFD, 0) >= 0) print_number("", fd);
}

static void sleep_for(long milliseconds) {
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (CALL(SYS_nanosleep, (long)&left, (long)&left) == -EINTR);
}

static void sleep_forever(void) {
    for (;;) sleep_for(1000000000);
}

/* Filled by the kernel in one go: touched page by page at a limit, it would throw out this program's code instead. */
static void eat(long mebibytes) {
    long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    must(CALL(SYS_mmap, 0, mebibytes << 20, PROT_READ | PROT_WRITE, flags, -1, 0));
}

static long fork_process(void) { return must(CALL(SYS_clone, SIGCHLD)); }

/* Each is the child of a child that ends first. */
static void make_orphans(long count) {
    for (; count > 0; count--) {
        long child = fork_process();
        if (child == 0) {
            if (fork_process() == 0) sleep_for(10);
            leave(0);
        }
        must(CALL(SYS_wait4, child));
    }
}

static void child_eats(long mebibytes) {
    long child = fork_process();
    if (child == 0) {
        eat(mebibytes);
        leave(0);
    }
    must(CALL(SYS_wait4, child));
}

static void ignore(long caught) {
    struct kernel_sigaction action = {.handler = SIG_IGN};
    must(CALL(SYS_rt_sigaction, caught, (long)&action, 0, sizeof action.mask));
}

static long monotonic(void) {
    struct timespec now;
    must(CALL(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now));
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void print_signals(void) {
    unsigned long all = ~0ul;
    must(CALL(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, 0, sizeof all));
    print_line("ready");
    for (;;) {
        long caught = CALL(SYS_rt_sigtimedwait, (long)&all, 0, 0, sizeof all);
        /* Freezing interrupts it, and it is not restarted (signal(7)). */
        if (caught == -EINTR) continue;
        print_number("signal ", must(caught));
        if (caught == SIGTERM) return;
    }
}

static void send_to(long kind, const char *path, const char *text) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (length(path) >= sizeof address.sun_path) leave(ENAMETOOLONG);
    for (size_t i = 0; path[i]; i++) address.sun_path[i] = path[i];
    long fd = must(CALL(SYS_socket, AF_UNIX, kind, 0));
    must(CALL(SYS_connect, fd, (long)&address, sizeof address));
    must(CALL(SYS_sendto, fd, (long)text, (long)length(text), 0, 0, 0));
    must(CALL(SYS_close, fd));
}

static void receive(long fd) {
    static char text[256];
    /* struct ucred, at the place and with the alignment of cmsg(3). */
    static struct {
        struct cmsghdr header;
        int pid, uid, gid;
    } told;
    struct iovec part = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &told, .msg_controllen = sizeof told};
    int listens = 0, size = sizeof listens;
    must(CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, (long)&listens, (long)&size));
    if (listens) fd = must(CALL(SYS_accept4, fd, 0, 0, 0));
    text[must(CALL(SYS_recvmsg, fd, (long)&message, 0))] = '\0';
    print_line(text);
    if (message.msg_controllen) print_number("from uid ", told.uid);
}

/* A line of a stream into `line` (room for `size` bytes, NUL included), without its end. */
static void read_line(long fd, char *line, size_t size) {
    size_t used = 0;
    for (;;) {
        if (used == size) leave(EMSGSIZE);
        if (must(CALL(SYS_read, fd, (long)&line[used], 1)) == 0) leave(EPIPE);
        if (line[used] == '\n') break;
        used++;
    }
    line[used] = '\0';
}

static void hear(long fd, long count) {
    static char line[65536];
    while (count-- > 0) {
        read_line(fd, line, sizeof line);
        print_line(line);
    }
}

static int holds(const char *text, const char *part) {
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && text[i] == part[i]) i++;
        if (!part[i]) return 1;
    }
    return 0;
}

static void count(long fd, long times) {
    static char line[65536], request[128];
    static const char before[] = "{\"request\":{\"inspect\":{\"container\":\"x:0.0.", after[] = "\"}}}\n";
    for (long turn = 1; turn <= times; turn++) {
        char digits[24], *first = digits + sizeof digits;
        *--first = '\0';
        for (long left = turn; left; left /= 10) *--first = (char)('0' + left % 10);
        size_t end = 0;
        const char *parts[] = {before, first, after};
        for (size_t part = 0; part < 3; part++)
            for (const char *c = parts[part]; *c; c++) request[end++] = *c;
        request[end] = '\0';
        print(fd, request);
        do read_line(fd, line, sizeof line);
        while (holds(line, "{\"notification\":"));
        /* The version and the quote after it: 1 is not 10. */
        request[end - 4] = '\0';
        if (!holds(line, "\"error\"") || !holds(line, request + sizeof before - 1 - 6)) {
            print_line(line);
            leave(99);
        }
    }
}

static void run(char **arguments, char **environment, const char *start) {
    program = arguments + 1;
    while (*program != NULL) {
        const char *verb = word();
        if (same(verb, "print")) {
            long fd = number();
            print(fd, word());
            print(fd, "\n");
        } else if (same(verb, "args"))
            print_all(arguments);
        else if (same(verb, "env"))
            print_all(environment);
        else if (same(verb, "cat"))
            cat(word());
        else if (same(verb, "write")) {
            const char *path = word();
            write_file(path, word(), O_TRUNC);
        } else if (same(verb, "stamp"))
            write_stamp(word(), start);
        else if (same(verb, "now"))
            print_number("", monotonic());
        else if (same(verb, "ids"))
            print_ids();
        else if (same(verb, "fds"))
            print_descriptors();
        else if (same(verb, "syscall"))
            print_number("", CALL(number()));
        else if (same(verb, "call")) {
            long nr = number(), a = number(), b = number();
            print_number("", CALL(nr, a, b, number()));
        } else if (same(verb, "eat"))
            eat(number());
        else if (same(verb, "child-eats"))
            child_eats(number());
        else if (same(verb, "orphans"))
            make_orphans(number());
        else if (same(verb, "wait"))
            sleep_for(number());
        else if (same(verb, "ignore"))
            ignore(number());
        else if (same(verb, "sleep"))
            sleep_forever();
        else if (same(verb, "signals"))
            print_signals();
        else if (same(verb, "spin"))
            for (;;) __asm__ volatile("");
        else if (same(verb, "flood"))
            for (;;) print_line("a line of a container that writes without end");
        else if (same(verb, "raise"))
            must(CALL(SYS_kill, CALL(SYS_getpid), number()));
        else if (same(verb, "send")) {
            long kind = number();
            const char *path = word();
            send_to(kind, path, word());
        } else if (same(verb, "receive"))
            receive(number());
        else if (same(verb, "hear")) {
            long fd = number();
            hear(fd, number());
        } else if (same(verb, "count")) {
            long fd = number();
            count(fd, number());
        } else if (same(verb, "exit"))
            leave(number());
        else
            leave(EINVAL);
    }
}

/* The kernel puts argc, argv and the environment on the stack. */
__attribute__((noreturn)) void enter(long *stack) {
    struct timespec now;
    static char start[24];
    CALL(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now);
    char *first = start + sizeof start;
    unsigned long left = (unsigned long)now.tv_sec * 1000000000ul + (unsigned long)now.tv_nsec;
    *--first = '\0';
    *--first = '\n';
    for (; left; left /= 10) *--first = (char)('0' + left % 10);
    char **arguments = (char **)(stack + 1);
    run(arguments, arguments + stack[0] + 1, first);
    leave(0);
}
