// The floor for a refresh: one conditional UPDATE in a transaction of its own, made durable (WAL, synchronous=FULL).
//
//     bare-sqlite SECONDS FILE      FILE is made and must not exist
//
// Prints one JSON object: commits, microseconds of CPU and of wall time for each.
#define _POSIX_C_SOURCE 200809L
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static sqlite3 *database;

static void must(int result, int wanted) {
    if (result == wanted) return;
    fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(database));
    exit(1);
}

static void run(const char *sql) { must(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK); }

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: bare-sqlite SECONDS FILE\n");
        return 2;
    }
    double limit = atof(argv[1]);
    must(sqlite3_open(argv[2], &database), SQLITE_OK);
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("CREATE TABLE grants (id TEXT PRIMARY KEY, counter BIGINT NOT NULL, secret BLOB NOT NULL, state TEXT NOT NULL) WITHOUT ROWID");
    run("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
        "INSERT INTO grants SELECT printf('grant-%05d', i), 0, randomblob(32), 'live' FROM n");
    sqlite3_stmt *update;
    must(sqlite3_prepare_v2(database, "UPDATE grants SET counter = counter + 1 WHERE id = printf('grant-%05d', ?1) AND state = 'live'", -1,
                            &update, NULL),
         SQLITE_OK);
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long count = 0;
    do {
        sqlite3_bind_int64(update, 1, (sqlite3_int64)(count * 7919 % 10000));
        must(sqlite3_step(update), SQLITE_DONE);
        must(sqlite3_reset(update), SQLITE_OK);
        count += 1;
    } while (seconds_of(CLOCK_MONOTONIC) - wall < limit);
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    sqlite3_finalize(update);
    sqlite3_close(database);
    printf("{\"commits\": %lu, \"cpu_us\": %.1f, \"wall_us\": %.1f}\n", count, cpu / (double)count * 1e6, wall / (double)count * 1e6);
    return 0;
}
