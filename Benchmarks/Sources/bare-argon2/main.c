// The floor for a login: Argon2id of libargon2 with the parameters that Gatehouse uses, and nothing around it.
//
//     bare-argon2 SECONDS [MEMORY_KIB [ITERATIONS [LANES]]]      defaults 19456 2 1
//
// Prints one JSON object: hashes, microseconds of CPU and of wall time for each.
#define _POSIX_C_SOURCE 200809L
#include <argon2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    double limit = argc > 1 ? atof(argv[1]) : 1.0;
    uint32_t memory = argc > 2 ? (uint32_t)atoi(argv[2]) : 19456;
    uint32_t iterations = argc > 3 ? (uint32_t)atoi(argv[3]) : 2;
    uint32_t lanes = argc > 4 ? (uint32_t)atoi(argv[4]) : 1;
    const char *password = "correct-horse-battery";
    uint8_t salt[16], hash[32];
    memset(salt, 7, sizeof salt);
    if (argon2id_hash_raw(iterations, memory, lanes, password, strlen(password), salt, sizeof salt, hash, sizeof hash) != ARGON2_OK) {
        fprintf(stderr, "argon2id failed\n");
        return 1;
    }
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long count = 0;
    do {
        salt[0] = (uint8_t)count;
        if (argon2id_hash_raw(iterations, memory, lanes, password, strlen(password), salt, sizeof salt, hash, sizeof hash) != ARGON2_OK) return 1;
        count += 1;
    } while (seconds_of(CLOCK_MONOTONIC) - wall < limit);
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"hashes\": %lu, \"cpu_us\": %.1f, \"wall_us\": %.1f, \"memory_kib\": %u, \"iterations\": %u, \"lanes\": %u}\n", count,
           cpu / (double)count * 1e6, wall / (double)count * 1e6, memory, iterations, lanes);
    return 0;
}
