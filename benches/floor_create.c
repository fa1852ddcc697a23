// floor_create METHOD MB WORKERS [IMAGE]: the least time in which this kernel creates a worker, in plain C, for `cargo bench --bench creation`.
//
// Creates WORKERS workers one after the other from a parent that holds MB megabytes of touched memory, and prints one line of nanoseconds
// for each: CLOCK_MONOTONIC from just before the call to the worker's own first instruction. All workers live until the last is made, as
// the workers of a lab run do. METHOD: fork; spawn (posix_spawn of this small program, or of `IMAGE __lab-image born`); forkserver (a fork
// of a small server that is asked through a socket pair); thread (each joined at the end); thread-reused (each joined before the next, so
// that the C library hands its stack on).
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
enum { REPORT = 10, HOLD = 11 }; // descriptors that a spawned program finds

static int report[2], hold[2];

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void tell(int fd, int64_t born) {
  if (write(fd, &born, sizeof born) != sizeof born) _exit(1);
}

static void live(int64_t born) { // until the parent closes its end
  char byte;
  close(hold[1]);
  tell(report[1], born);
  while (read(hold[0], &byte, 1) > 0) {}
  _exit(0);
}

static void *thread(void *unused) {
  tell(report[1], now());
  return unused;
}

static void *held_thread(void *unused) {
  char byte;
  tell(report[1], now());
  while (read(hold[0], &byte, 1) > 0) {}
  return unused;
}

static int64_t await(void) {
  int64_t born;
  if (read(report[0], &born, sizeof born) != sizeof born) fail("a worker did not report");
  return born;
}

// A spawned image of the lab says its birth in decimal on its standard output, and ends with its standard input.
static int64_t await_text(int fd) {
  char text[32];
  size_t have = 0;
  while (have < sizeof text - 1) {
    ssize_t got = read(fd, text + have, sizeof text - 1 - have);
    if (got <= 0) fail("the image did not report");
    have += (size_t)got;
    if (text[have - 1] == '\n') break;
  }
  text[have] = 0;
  return strtoll(text, 0, 10);
}

static void serve(int requests) {
  char byte;
  close(hold[1]);
  while (read(requests, &byte, 1) == 1) {
    pid_t child = fork();
    if (child == 0) {
      int64_t born = now();
      tell(report[1], born);
      while (read(hold[0], &byte, 1) > 0) {}
      _exit(0);
    }
    if (child < 0) _exit(1);
  }
  while (wait(0) > 0) {}
  _exit(0);
}

int main(int argc, char **argv) {
  int64_t born = now();
  if (argc == 2 && !strcmp(argv[1], "worker")) {
    char byte;
    tell(REPORT, born);
    while (read(HOLD, &byte, 1) > 0) {}
    return 0;
  }
  if (argc < 4) {
    fprintf(stderr, "usage: floor_create METHOD MB WORKERS [IMAGE]\n");
    return 2;
  }
  const char *method = argv[1], *image = argc > 4 ? argv[4] : 0;
  size_t bytes = (size_t)atol(argv[2]) << 20;
  int workers = atoi(argv[3]), requests[2];
  if (pipe(report) || pipe(hold) || socketpair(AF_UNIX, SOCK_STREAM, 0, requests)) fail("pipe");
  pid_t server = -1;
  if (!strcmp(method, "forkserver")) { // before the memory, as that is what a fork server is for
    server = fork();
    if (server == 0) {
      close(requests[0]);
      serve(requests[1]);
    }
    close(requests[1]);
  }
  char *memory = bytes ? malloc(bytes) : 0;
  if (bytes && !memory) fail("malloc");
  if (memory) memset(memory, 1, bytes);
  __asm__ volatile("" ::"r"(memory) : "memory");
  usleep(5000); // as the lab does, so that what it has said is read before anything is timed: caches are as cold then, and CPUs as idle

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, report[1], image ? 1 : REPORT);
  posix_spawn_file_actions_adddup2(&actions, hold[0], image ? 0 : HOLD);
  posix_spawn_file_actions_addclose(&actions, hold[1]);
  char *small[] = {argv[0], "worker", 0}, *own[] = {"concmon-worker", "__lab-image", "born", 0};
  pthread_t *threads = calloc((size_t)workers, sizeof *threads);
  for (int w = 0; w < workers; w++) {
    int64_t begun = now(), at;
    pid_t child = 0;
    if (!strcmp(method, "fork")) {
      child = fork();
      if (child == 0) live(now());
      if (child < 0) fail("fork");
      at = await();
    } else if (!strcmp(method, "spawn")) {
      if (posix_spawn(&child, image ? image : argv[0], &actions, 0, image ? own : small, environ)) fail("posix_spawn");
      at = image ? await_text(report[0]) : await();
    } else if (!strcmp(method, "forkserver")) {
      if (write(requests[0], "f", 1) != 1) fail("asking the server");
      at = await();
    } else {
      int reused = !strcmp(method, "thread-reused");
      if (pthread_create(&threads[w], 0, reused ? thread : held_thread, 0)) fail("pthread_create");
      at = await();
      if (reused) pthread_join(threads[w], 0);
    }
    printf("%lld\n", (long long)(at - begun));
  }
  close(hold[1]);
  if (!strcmp(method, "thread"))
    for (int w = 0; w < workers; w++) pthread_join(threads[w], 0);
  if (server > 0) close(requests[0]);
  while (wait(0) > 0) {}
  return 0;
}
