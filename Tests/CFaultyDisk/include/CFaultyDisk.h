#ifndef GATEHOUSE_FAULTY_DISK_H
#define GATEHOUSE_FAULTY_DISK_H

#include <stdint.h>

/// A folder whose SQLite files lie on a disk that can lose power, fill up and fail.
///
/// The files themselves always hold what the operating system would show to a program. Beside them the disk keeps what is
/// durable (written and then synced) and, in order, what was written since. Every function may be called from any thread.
typedef struct faulty_disk faulty_disk;

/// Kinds of operation; they add up.
enum {
    FAULTY_WRITE = 1,
    FAULTY_SYNC = 2,
    FAULTY_TRUNCATE = 4,
    FAULTY_DELETE = 8,
    FAULTY_READ = 16,
};

/// Kinds of file; they add up.
enum {
    FAULTY_DATABASE = 1,
    FAULTY_LOG = 2,
    FAULTY_OTHER = 4,
};

/// What a failing operation answers.
enum {
    FAULTY_FULL = 13,
    FAULTY_IO_ERROR = 10,
};

/// Makes a disk of `folder`, whose path must be as SQLite sees it (no symbolic links). What lies in it is durable.
faulty_disk *faulty_disk_new(const char *folder);

/// Forgets the disk. Files that are still open go on without it.
void faulty_disk_free(faulty_disk *disk);

/// How many writes, syncs, truncations and deletions there were.
int64_t faulty_disk_operations(faulty_disk *disk);

/// The power goes when that many operations have been done; 0 is now, a negative number never.
void faulty_disk_cut_at(faulty_disk *disk, int64_t operations);
int faulty_disk_is_cut(faulty_disk *disk);

/// Syncs of these kinds of file say that they succeeded and do nothing: what a missing fsync does.
void faulty_disk_ignore_syncs(faulty_disk *disk, int files);

/// Operations of these kinds on these files fail with `answer`, after the next `skip` of them succeeded and until `count`
/// have failed (a negative number: for good). A failing write leaves half of its bytes; what a failing sync should have
/// made durable never is, unless it is written again. The latest call replaces the ones before it.
void faulty_disk_fail(faulty_disk *disk, int operations, int files, int64_t skip, int64_t count, int answer);

/// How many operations have failed because of `faulty_disk_fail`.
int64_t faulty_disk_failures(faulty_disk *disk);

/// Writes into `folder` what is found after a power cut: everything durable, and of the sectors written since, those that
/// `seed` chooses, each in one of the states that it had. - Returns: 0, or -1 when a file could not be written.
int faulty_disk_survive(faulty_disk *disk, uint64_t seed, const char *folder);

/// The next number of the generator that decides all this (SplitMix64).
uint64_t faulty_disk_random(uint64_t *state);

/// Runs statements on a database by itself, on the ordinary disk. - Returns: SQLite's result.
int faulty_execute(const char *path, const char *sql);

#endif
