// The floor for a login: Argon2id of libsodium with the parameters that Gatehouse uses, and nothing around it.
//
//     bare-argon2 SECONDS [MEMORY_KIB [ITERATIONS]]      defaults 19456 2
//
// Prints one JSON object: hashes, microseconds of CPU and of wall time for each.
#define _POSIX_C_SOURCE 200809L
#include <sodium.h>
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

static int derive(uint8_t hash[32], const uint8_t salt[16], const char *password, uint32_t iterations, uint32_t memory) {
    return crypto_pwhash(hash, 32, password, strlen(password), salt, iterations, (size_t)memory * 1024, crypto_pwhash_ALG_ARGON2ID13);
}

int main(int argc, char **argv) {
    double limit = argc > 1 ? atof(argv[1]) : 1.0;
    uint32_t memory = argc > 2 ? (uint32_t)atoi(argv[2]) : 19456;
    uint32_t iterations = argc > 3 ? (uint32_t)atoi(argv[3]) : 2;
    const char *password = "correct-horse-battery";
    uint8_t salt[16], hash[32];
    memset(salt, 7, sizeof salt);
    if (sodium_init() < 0 || derive(hash, salt, password, iterations, memory) != 0) {
        fprintf(stderr, "argon2id failed\n");
        return 1;
    }
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long count = 0;
    do {
        salt[0] = (uint8_t)count;
        if (derive(hash, salt, password, iterations, memory) != 0) return 1;
        count += 1;
    } while (seconds_of(CLOCK_MONOTONIC) - wall < limit);
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"hashes\": %lu, \"cpu_us\": %.1f, \"wall_us\": %.1f, \"memory_kib\": %u, \"iterations\": %u}\n", count,
           cpu / (double)count * 1e6, wall / (double)count * 1e6, memory, iterations);
    return 0;
}
