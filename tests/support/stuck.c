/* Programs that are stuck, or at rest, in one known way: `stuck CASE`. Prints "ready" once it is so, as far as it can tell. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
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
    if (IS("pipe")) {
        int ends[2];
        if (pipe(ends)) return 1;
        if (fork() == 0) { static char much[1 << 20]; close(ends[0]); (void)!write(ends[1], much, sizeof much); _exit(0); }
        close(ends[1]);
        ready();
        wait(NULL);
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
