/* Programs that are stuck, or at rest, in one known way: `stuck CASE`. Prints "ready" once it is so, as far as it can tell. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t both;
static pthread_t threads[2];
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void ready(void) { puts("ready"); fflush(stdout); }
static void *takes_ab(void *_) { pthread_mutex_lock(&a); pthread_barrier_wait(&both); pthread_mutex_lock(&b); return _; }
static void *takes_ba(void *_) { pthread_mutex_lock(&b); pthread_barrier_wait(&both); pthread_mutex_lock(&a); return _; }
static void *writes(void *_) { pthread_rwlock_wrlock(&rw); pthread_barrier_wait(&both); pthread_mutex_lock(&a); return _; }
static void *reads(void *_) { pthread_mutex_lock(&a); pthread_barrier_wait(&both); pthread_rwlock_rdlock(&rw); return _; }
static void *joins(void *other) { pthread_barrier_wait(&both); pthread_join(threads[(long)other], NULL); return NULL; }
static void *leaves_it(void *_) { pthread_mutex_lock(&a); return _; }
static void *rests(void *_) { pthread_mutex_lock(&a); pthread_cond_wait(&never, &a); return _; }
static void *holds(void *_) { pthread_mutex_lock(&a); pthread_barrier_wait(&both); for (;;) pause(); return _; }
static void *works(void *seed) {
    unsigned int state = (unsigned int)(long)seed;
    for (;;) {
        pthread_mutex_lock(&a);
        pthread_rwlock_wrlock(&rw);
        pthread_mutex_lock(&b);
        if (rand_r(&state) % 8 == 0) usleep(rand_r(&state) % 2000);
        pthread_mutex_unlock(&b);
        pthread_rwlock_unlock(&rw);
        pthread_mutex_unlock(&a);
    }
    return NULL;
}
static void *dies_with_it(void *lock) { pthread_mutex_lock(lock); return NULL; }
static void *waits_once(void *_) { pthread_mutex_lock(&a); for (;;) pthread_cond_wait(&never, &a); return _; }
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int whose;
/* Two threads that hand one turn to and fro: as many switches as the machine can do. */
static void *plays(void *own) {
    pthread_mutex_lock(&a);
    for (;;) {
        while (whose != (int)(long)own) pthread_cond_wait(&turn, &a);
        whose = !whose;
        pthread_cond_broadcast(&turn);
    }
    return NULL;
}
static void *starts(void *_) { for (;;) pause(); return _; }

/* N processes in a ring of loopback connections: each reads what the one before would write. */
static void ring(int n, int unix_socket) {
    int reads[8], writes[8];
    for (int i = 0; i < n; i++) {
        int pair[2];
        if (unix_socket) {
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) exit(1);
        } else {
            struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
            socklen_t size = sizeof at;
            int server = socket(AF_INET, SOCK_STREAM, 0);
            pair[0] = socket(AF_INET, SOCK_STREAM, 0);
            if (bind(server, (struct sockaddr *)&at, size) || listen(server, 1)) exit(1);
            if (getsockname(server, (struct sockaddr *)&at, &size) || connect(pair[0], (struct sockaddr *)&at, size)) exit(1);
            pair[1] = accept(server, NULL, NULL);
            close(server);
        }
        reads[i] = pair[0];
        writes[i] = pair[1];
    }
    int me = 0;
    for (int i = 1; i < n && me == 0; i++) if (fork() == 0) me = i;
    for (int k = 0; k < n; k++) {
        if (k != me) close(reads[k]);
        if (k != (me + 1) % n) close(writes[k]);
    }
    if (me == 0) ready();
    char byte;
    (void)!read(reads[me], &byte, 1);
    exit(0);
}

/* Threads that take locks at random; the file says who has had which lock when. */
enum { PLAYERS = 8, LOCKS = 3 };
struct player { unsigned long tid; struct { unsigned long attempt, acquired, released; } of[LOCKS]; };
static struct player *truth;
static pthread_mutex_t random_locks[LOCKS];
static unsigned long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (unsigned long)at.tv_sec * 1000000000UL + (unsigned long)at.tv_nsec;
}
static void *draws(void *own) {
    struct player *me = &truth[(long)own];
    unsigned int state = (unsigned int)(long)own + 1;
    __atomic_store_n(&me->tid, (unsigned long)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    for (;;) {
        int k = rand_r(&state) % LOCKS;
        __atomic_store_n(&me->of[k].attempt, now(), __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&random_locks[k]);
        __atomic_store_n(&me->of[k].acquired, now(), __ATOMIC_SEQ_CST);
        if (rand_r(&state) % 4) usleep((unsigned int)rand_r(&state) % 8000);
        __atomic_store_n(&me->of[k].released, now(), __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&random_locks[k]);
        if (rand_r(&state) % 8 == 0) usleep((unsigned int)rand_r(&state) % 500);
    }
    return NULL;
}

static void wakes(int signal) { (void)signal; }

static void two(void *(*first)(void *), void *(*second)(void *)) {
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&threads[0], NULL, first, (void *)1L);
    pthread_create(&threads[1], NULL, second, (void *)0L);
}

static void crosswise(const char *one, const char *other, int told, int heard) {
    char byte = 0;
    flock(open(one, O_RDWR | O_CREAT | O_CLOEXEC, 0600), LOCK_EX);
    if (write(told, &byte, 1) != 1 || read(heard, &byte, 1) != 1) exit(1);
    flock(open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600), LOCK_EX);
}

int main(int argc, char **argv) {
    const char *which = argc > 1 ? argv[1] : "";
#define IS(name) (strcmp(which, name) == 0)
    if (IS("abba")) { two(takes_ab, takes_ba); ready(); for (;;) pause(); }
    if (IS("rwlock")) { two(writes, reads); ready(); for (;;) pause(); }
    if (IS("join")) { two(joins, joins); ready(); for (;;) pause(); }
    if (IS("self")) { ready(); pthread_mutex_lock(&a); pthread_mutex_lock(&a); }
    if (IS("gone")) {
        pthread_create(&threads[0], NULL, leaves_it, NULL);
        pthread_join(threads[0], NULL);
        ready();
        pthread_mutex_lock(&a);
    }
    if (IS("fork")) {
        pthread_barrier_init(&both, NULL, 2);
        pthread_create(&threads[0], NULL, holds, NULL);
        pthread_barrier_wait(&both);
        if (fork() == 0) { pthread_mutex_lock(&a); _exit(0); }
        ready();
        wait(NULL);
    }
    if (IS("files")) {
        int there[2], back[2];
        if (pipe(there) || pipe(back) || argc < 4) return 1;
        if (fork() == 0) { crosswise(argv[3], argv[2], back[1], there[0]); _exit(0); }
        ready();
        crosswise(argv[2], argv[3], there[1], back[0]);
    }
    if (IS("semaphore")) {
        sem_t *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        sem_init(shared, 1, 1);
        pid_t holder = fork();
        if (holder == 0) { sem_wait(shared); raise(SIGKILL); }
        waitpid(holder, NULL, 0);
        if (fork() == 0) { sem_wait(shared); _exit(0); }
        ready();
        wait(NULL);
    }
    if (IS("own-pipe")) {
        int ends[2];
        char byte;
        if (pipe(ends)) return 1;
        ready();
        (void)!read(ends[0], &byte, 1);
    }
    if (IS("pipe")) {
        int ends[2];
        if (pipe(ends)) return 1;
        if (fork() == 0) { static char much[1 << 20]; close(ends[0]); (void)!write(ends[1], much, sizeof much); _exit(0); }
        close(ends[1]);
        ready();
        wait(NULL);
    }
    if (IS("robust")) {
        static pthread_mutex_t kept;
        pthread_mutexattr_t kind;
        pthread_mutexattr_init(&kind);
        pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
        pthread_mutex_init(&kept, &kind);
        pthread_create(&threads[0], NULL, dies_with_it, &kept);
        pthread_join(threads[0], NULL);
        ready();
        pthread_mutex_lock(&kept);
    }
    if (IS("condition")) {
        for (int n = 0; n < 2; n++) pthread_create(&threads[n], NULL, waits_once, NULL);
        ready();
        pthread_join(threads[0], NULL);
    }
    if (IS("ring")) ring(3, 0);
    if (IS("unix")) ring(2, 1);
    if (IS("vfork")) {
        /* The child of vfork shares the memory and holds its parent up; it waits for a lock that the parent took. */
        pthread_mutex_lock(&a);
        ready();
        if (vfork() == 0) { pthread_mutex_lock(&a); _exit(0); }
    }
    if (IS("storm")) {
        for (long n = 0; n < 2; n++) pthread_create(&threads[n], NULL, plays, (void *)n);
        ready();
        for (;;) pause();
    }
    if (IS("descriptors")) {
        ready();
        for (;;) { if (open("/dev/null", O_RDONLY) < 0) pause(); usleep(20000); }
    }
    if (IS("threads")) {
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        ready();
        for (int n = 0; n < 2000; n++) { pthread_create(&threads[0], &small, starts, NULL); usleep(50000); }
    }
    if (IS("memory")) {
        ready();
        for (int n = 0; n < 400; n++) { memset(malloc(2 << 20), 1, 2 << 20); usleep(100000); }
    }
    if (IS("blocked")) {
        sigset_t term;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        kill(getpid(), SIGTERM);
        ready();
        for (;;) pause();
    }
    if (IS("signalfd")) {
        sigset_t term;
        struct signalfd_siginfo taken;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        int terms = signalfd(-1, &term, SFD_CLOEXEC);
        ready();
        exit(read(terms, &taken, sizeof taken) == sizeof taken ? 0 : 1);
    }
    if (IS("ignored")) {
        signal(SIGTERM, SIG_IGN);
        ready();
        for (;;) pause();
    }
    if (IS("spin")) {
        ready();
        for (;;) (void)getppid();
    }
    if (IS("narrow")) {
        cpu_set_t one;
        CPU_ZERO(&one);
        sched_getaffinity(0, sizeof one, &one);
        int first = 0;
        while (!CPU_ISSET(first, &one)) first++;
        CPU_ZERO(&one);
        CPU_SET(first, &one);
        sched_setaffinity(0, sizeof one, &one);
        for (int n = 0; n < 2; n++) if (fork() == 0) for (;;) { }
        ready();
        for (;;) pause();
    }
    if (IS("random")) {
        int file = argc > 2 ? open(argv[2], O_RDWR | O_CREAT, 0600) : -1;
        if (ftruncate(file, sizeof *truth * PLAYERS)) return 1;
        truth = mmap(NULL, sizeof *truth * PLAYERS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        for (int k = 0; k < LOCKS; k++) pthread_mutex_init(&random_locks[k], NULL);
        for (long n = 0; n < PLAYERS; n++) pthread_create(&threads[0], NULL, draws, (void *)n);
        ready();
        for (;;) pause();
    }
    /* Healthy. */
    if (IS("pool")) {
        for (int n = 0; n < 2; n++) pthread_create(&threads[n], NULL, rests, NULL);
        ready();
        for (;;) pause();
    }
    if (IS("busy")) {
        for (long n = 0; n < 8; n++) pthread_create(&threads[0], NULL, works, (void *)n);
        ready();
        for (;;) pause();
    }
    if (IS("handler")) {
        sem_t never_posted;
        sem_init(&never_posted, 0, 0);
        signal(SIGTERM, wakes);
        pthread_create(&threads[0], NULL, rests, NULL);
        ready();
        for (;;) sem_wait(&never_posted);
    }
    if (IS("timeout")) {
        struct timespec late;
        clock_gettime(CLOCK_REALTIME, &late);
        late.tv_sec += 3600;
        pthread_mutex_lock(&a);
        ready();
        pthread_mutex_timedlock(&a, &late);
    }
    return 2;
}
