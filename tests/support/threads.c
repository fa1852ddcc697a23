/* Programs whose threads come and go, for tests/measured/rates.rs: the first argument says which. Each obeys lines on its standard input and ends
   with it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static long burn_ns;
static char *title;
static size_t title_size;

static long cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void *burn(void *unused)
{
	while (cpu_ns() < burn_ns)
		;
	return unused;
}

static void *nap(void *unused)
{
	for (int i = 0; i < 100; i++)
		usleep(100);
	return unused;
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

/* Ends the whole process with its standard input. */
static void *listen_for_end(void *unused)
{
	char line[256];
	while (fgets(line, sizeof line, stdin))
		;
	_exit(0);
	return unused;
}

static void *obey(void *unused)
{
	char line[256];
	char *block = malloc(100 << 20);
	memset(block, 1, 100 << 20);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "burn")) {
			for (long until = cpu_ns() + 50000000; cpu_ns() < until;)
				;
		} else {
			memset(title, 0, title_size);
			strncpy(title, line, title_size - 1);
		}
		say(line);
	}
	_exit(0);
	return unused;
}

int main(int count, char **words)
{
	pthread_t thread, threads[20];
	const char *which = count > 1 ? words[1] : "";
	title = words[0];
	title_size = words[count - 1] + strlen(words[count - 1]) + 1 - words[0];
	if (!strcmp(which, "churn")) { /* one thread after the other burns so many ms of CPU */
		burn_ns = atol(words[2]) * 1000000;
		pthread_create(&thread, 0, listen_for_end, 0);
		say("ready");
		for (;;) {
			pthread_create(&thread, 0, burn, 0);
			pthread_join(thread, 0);
		}
	} else if (!strcmp(which, "naps")) { /* a thousand threads that block a hundred times each, then what getrusage says */
		for (int round = 0; round < 50; round++) {
			for (int i = 0; i < 20; i++)
				pthread_create(threads + i, 0, nap, 0);
			for (int i = 0; i < 20; i++)
				pthread_join(threads[i], 0);
		}
		struct rusage use;
		getrusage(RUSAGE_SELF, &use);
		printf("%ld %ld %ld\n", use.ru_nvcsw, use.ru_nivcsw, use.ru_minflt);
		fflush(stdout);
		listen_for_end(0);
	} else if (!strcmp(which, "headless")) { /* the main thread ends, another lives on */
		pthread_create(&thread, 0, obey, 0);
		say("ready");
		pthread_exit(0);
	} else { /* takes each line as its title */
		say("ready");
		obey(0);
	}
}
