/* What the servers and the loops have in common. */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A number from `min` on, or the end of the program. */
static inline size_t number(const char *text, size_t min)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end != '\0' || value < min) {
		fprintf(stderr, "not a number of at least %zu: %s\n", min, text);
		exit(2);
	}
	return (size_t)value;
}

/* The one line that the bench reads; the bench does not read standard output after it. */
static inline void announce_service(unsigned port, const char *service, const char *name)
{
	printf("listening tcp:127.0.0.1:%u %s %s pid %d\n", port, service, name, (int)getpid());
	fflush(stdout);
}

static inline void announce(unsigned port, const char *name)
{
	announce_service(port, "upper", name);
}

/* No branch on the byte, so that the compiler makes vectors of it. */
static inline void upper(unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= (unsigned char)((unsigned char)(bytes[i] - 'a') < 26 ? 0x20 : 0);
}

#endif
