#include "CFaultyDisk.h"

#include <dirent.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A VFS between SQLite and the operating system. It is the default one, because GRDB names none; files that lie on no
// faulty disk are opened by the VFS below it and never seen here again.

enum { SECTOR = 512, NAME_MAX_BYTES = 256 };

typedef struct {
    unsigned char *bytes;
    int64_t size, capacity;
} content;

typedef struct {
    int is_truncate;
    int64_t offset, size;
    unsigned char *bytes;
} operation;

typedef struct faulty_state {
    struct faulty_state *next;
    char name[NAME_MAX_BYTES];
    content durable;
    int is_durable, exists, kind;
    operation *pending;
    int64_t pending_count, pending_capacity;
} faulty_state;

struct faulty_disk {
    struct faulty_disk *next;
    char *folder;
    size_t folder_length;
    faulty_state *files;
    int64_t operations, cut_at, skip, count, failures;
    int is_cut, ignored_syncs, failing_operations, failing_files, answer, is_forgotten;
};

typedef struct {
    sqlite3_file base;
    faulty_disk *disk;
    faulty_state *state;
    sqlite3_file *real;
} faulty_file;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static faulty_disk *disks;
static sqlite3_vfs *below;
static sqlite3_vfs shim;

static void *must(void *memory) {
    if (!memory) abort();
    return memory;
}

static void resize(content *content, int64_t size) {
    if (size > content->capacity) {
        content->capacity = size * 2;
        content->bytes = must(realloc(content->bytes, (size_t)content->capacity));
    }
    if (size > content->size) memset(content->bytes + content->size, 0, (size_t)(size - content->size));
    content->size = size;
}

static void put(content *content, const unsigned char *bytes, int64_t offset, int64_t size) {
    if (offset + size > content->size) resize(content, offset + size);
    if (size > 0) memcpy(content->bytes + offset, bytes, (size_t)size);
}

static void apply(content *content, const operation *operation) {
    if (operation->is_truncate) {
        if (operation->size < content->size) resize(content, operation->size);
    } else {
        put(content, operation->bytes, operation->offset, operation->size);
    }
}

static content copy_of(const content *original) {
    content copy = {0};
    put(&copy, original->bytes, 0, original->size);
    return copy;
}

static void clear_pending(faulty_state *state) {
    for (int64_t i = 0; i < state->pending_count; i++) free(state->pending[i].bytes);
    state->pending_count = 0;
}

static void add_pending(faulty_state *state, int is_truncate, const void *bytes, int64_t offset, int64_t size) {
    if (state->pending_count == state->pending_capacity) {
        state->pending_capacity = state->pending_capacity ? state->pending_capacity * 2 : 64;
        state->pending = must(realloc(state->pending, (size_t)state->pending_capacity * sizeof(operation)));
    }
    operation *added = &state->pending[state->pending_count++];
    *added = (operation){is_truncate, offset, size, NULL};
    if (!is_truncate && size > 0) {
        added->bytes = must(malloc((size_t)size));
        memcpy(added->bytes, bytes, (size_t)size);
    }
}

static int ends_with(const char *name, const char *end) {
    size_t length = strlen(name);
    return length > strlen(end) && !strcmp(name + length - strlen(end), end);
}

static int kind_of(const char *name) {
    if (ends_with(name, "-wal")) return FAULTY_LOG;
    if (ends_with(name, ".db")) return FAULTY_DATABASE;
    return FAULTY_OTHER;
}

static void read_whole(const char *path, content *content) {
    FILE *file = fopen(path, "rb");
    if (!file) return;
    unsigned char buffer[65536];
    size_t count;
    while ((count = fread(buffer, 1, sizeof buffer, file)) > 0) put(content, buffer, content->size, (int64_t)count);
    fclose(file);
}

// The disk that `path` lies on, and the name within it. With the lock held.
static faulty_disk *disk_of(const char *path, const char **name) {
    for (faulty_disk *disk = disks; path && disk; disk = disk->next) {
        if (!strncmp(path, disk->folder, disk->folder_length) && path[disk->folder_length] == '/') {
            *name = path + disk->folder_length + 1;
            return disk;
        }
    }
    return NULL;
}

// With the lock held.
static faulty_state *state_of(faulty_disk *disk, const char *name, const char *path) {
    for (faulty_state *state = disk->files; state; state = state->next) {
        if (!strcmp(state->name, name)) return state;
    }
    faulty_state *state = must(calloc(1, sizeof *state));
    snprintf(state->name, sizeof state->name, "%s", name);
    state->kind = kind_of(name);
    FILE *file = fopen(path, "rb");
    if (file) {
        fclose(file);
        read_whole(path, &state->durable);
        state->is_durable = state->exists = 1;
    }
    state->next = disk->files;
    disk->files = state;
    return state;
}

// Counts the operation and says what it answers: SQLITE_OK when it may be done. With the lock held.
static int begin(faulty_disk *disk, int kind, const faulty_state *state) {
    if (disk->is_forgotten) return SQLITE_OK;
    if (kind != FAULTY_READ) {
        if (disk->cut_at >= 0 && disk->operations >= disk->cut_at) disk->is_cut = 1;
        if (disk->is_cut) return SQLITE_IOERR;
        disk->operations++;
    }
    if (!(disk->failing_operations & kind) || !(disk->failing_files & state->kind) || disk->count == 0) return SQLITE_OK;
    if (disk->skip > 0) {
        disk->skip--;
        return SQLITE_OK;
    }
    if (disk->count > 0) disk->count--;
    disk->failures++;
    if (disk->answer == FAULTY_FULL) return SQLITE_FULL;
    switch (kind) {
    case FAULTY_WRITE: return SQLITE_IOERR_WRITE;
    case FAULTY_SYNC: return SQLITE_IOERR_FSYNC;
    case FAULTY_TRUNCATE: return SQLITE_IOERR_TRUNCATE;
    case FAULTY_READ: return SQLITE_IOERR_READ;
    default: return SQLITE_IOERR_DELETE;
    }
}

static int file_close(sqlite3_file *base) {
    faulty_file *file = (faulty_file *)base;
    return file->real->pMethods ? file->real->pMethods->xClose(file->real) : SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *bytes, int size, sqlite3_int64 offset) {
    faulty_file *file = (faulty_file *)base;
    pthread_mutex_lock(&lock);
    int status = begin(file->disk, FAULTY_READ, file->state);
    pthread_mutex_unlock(&lock);
    return status ? status : file->real->pMethods->xRead(file->real, bytes, size, offset);
}

static int file_write(sqlite3_file *base, const void *bytes, int size, sqlite3_int64 offset) {
    faulty_file *file = (faulty_file *)base;
    pthread_mutex_lock(&lock);
    int status = begin(file->disk, FAULTY_WRITE, file->state);
    int written = status == SQLITE_OK ? size : file->disk->is_cut ? 0 : size / 2;
    if (written > 0) {
        int answer = file->real->pMethods->xWrite(file->real, bytes, written, offset);
        if (answer) status = answer;
        if (!file->disk->is_forgotten) add_pending(file->state, 0, bytes, offset, written);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size) {
    faulty_file *file = (faulty_file *)base;
    pthread_mutex_lock(&lock);
    int status = begin(file->disk, FAULTY_TRUNCATE, file->state);
    if (status == SQLITE_OK) {
        status = file->real->pMethods->xTruncate(file->real, size);
        if (!file->disk->is_forgotten) add_pending(file->state, 1, NULL, 0, size);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

// Not handed on: what is durable here is decided here, and the tests would spend their time waiting for a real disk.
static int file_sync(sqlite3_file *base, int flags) {
    faulty_file *file = (faulty_file *)base;
    faulty_state *state = file->state;
    (void)flags;
    pthread_mutex_lock(&lock);
    int status = begin(file->disk, FAULTY_SYNC, state);
    if (!file->disk->is_forgotten && !file->disk->is_cut) {
        if (status != SQLITE_OK) {
            // As Linux does: the pages count as clean from now on, and no later sync writes them.
            clear_pending(state);
        } else if (!(file->disk->ignored_syncs & state->kind)) {
            for (int64_t i = 0; i < state->pending_count; i++) apply(&state->durable, &state->pending[i]);
            clear_pending(state);
            state->is_durable = 1;
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xFileSize(real, size);
}
static int file_lock(sqlite3_file *base, int level) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xLock(real, level);
}
static int file_unlock(sqlite3_file *base, int level) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xUnlock(real, level);
}
static int file_check_reserved(sqlite3_file *base, int *answer) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xCheckReservedLock(real, answer);
}
static int file_control(sqlite3_file *base, int operation, void *argument) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xFileControl(real, operation, argument);
}
static int file_sector_size(sqlite3_file *base) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xSectorSize(real);
}
static int file_characteristics(sqlite3_file *base) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xDeviceCharacteristics(real);
}
// The index of the log is shared memory: it is gone with the power, and each first opening makes it anew.
static int file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **memory) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xShmMap(real, page, size, extend, memory);
}
static int file_shm_lock(sqlite3_file *base, int offset, int count, int flags) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xShmLock(real, offset, count, flags);
}
static void file_shm_barrier(sqlite3_file *base) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    real->pMethods->xShmBarrier(real);
}
static int file_shm_unmap(sqlite3_file *base, int is_deleted) {
    sqlite3_file *real = ((faulty_file *)base)->real;
    return real->pMethods->xShmUnmap(real, is_deleted);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *flags_out) {
    (void)vfs;
    const char *name = NULL;
    pthread_mutex_lock(&lock);
    faulty_disk *disk = disk_of(path, &name);
    faulty_state *state = disk ? state_of(disk, name, path) : NULL;
    int is_cut = disk && disk->is_cut;
    pthread_mutex_unlock(&lock);
    if (!disk) return below->xOpen(below, path, base, flags, flags_out);
    faulty_file *file = (faulty_file *)base;
    memset(file, 0, sizeof *file);
    if (is_cut) return SQLITE_CANTOPEN;
    file->disk = disk;
    file->state = state;
    file->real = (sqlite3_file *)(file + 1);
    int status = below->xOpen(below, path, file->real, flags, flags_out);
    if (file->real->pMethods) file->base.pMethods = &methods;
    if (status == SQLITE_OK) {
        pthread_mutex_lock(&lock);
        state->exists = 1;
        pthread_mutex_unlock(&lock);
    }
    return status;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int syncs_folder) {
    (void)vfs;
    const char *name = NULL;
    pthread_mutex_lock(&lock);
    faulty_disk *disk = disk_of(path, &name);
    int status = SQLITE_OK;
    if (disk) {
        faulty_state *state = state_of(disk, name, path);
        status = begin(disk, FAULTY_DELETE, state);
        if (status == SQLITE_OK) {
            clear_pending(state);
            state->exists = 0;
            if (syncs_folder) {
                resize(&state->durable, 0);
                state->is_durable = 0;
            } else if (state->is_durable) {
                // A new file of that name is empty; the old one may come back until its folder was synced.
                add_pending(state, 1, NULL, 0, 0);
            }
        }
    }
    pthread_mutex_unlock(&lock);
    return status ? status : below->xDelete(below, path, syncs_folder);
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *answer) {
    (void)vfs;
    return below->xAccess(below, path, flags, answer);
}
static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out) {
    (void)vfs;
    return below->xFullPathname(below, path, size, out);
}

static void install(void) {
    sqlite3_initialize();
    below = sqlite3_vfs_find(NULL);
    shim = *below;
    shim.pNext = NULL;
    shim.szOsFile = (int)sizeof(faulty_file) + below->szOsFile;
    shim.zName = "faulty-disk";
    shim.xOpen = vfs_open;
    shim.xDelete = vfs_delete;
    shim.xAccess = vfs_access;
    shim.xFullPathname = vfs_full_path;
    sqlite3_vfs_register(&shim, 1);
}

faulty_disk *faulty_disk_new(const char *folder) {
    pthread_once(&once, install);
    faulty_disk *disk = must(calloc(1, sizeof *disk));
    disk->folder = must(strdup(folder));
    disk->folder_length = strlen(folder);
    disk->cut_at = -1;
    pthread_mutex_lock(&lock);
    disk->next = disks;
    disks = disk;
    // What SQLite left there, whether anybody opens it or not.
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (kind_of(entry->d_name) != FAULTY_OTHER || ends_with(entry->d_name, "-journal")) state_of(disk, entry->d_name, path);
    }
    if (listing) closedir(listing);
    pthread_mutex_unlock(&lock);
    return disk;
}

// The structures stay: a connection that SQLite closes late may still point to them. What they held is given back.
void faulty_disk_free(faulty_disk *disk) {
    pthread_mutex_lock(&lock);
    for (faulty_disk **link = &disks; *link; link = &(*link)->next) {
        if (*link == disk) {
            *link = disk->next;
            break;
        }
    }
    disk->is_forgotten = 1;
    for (faulty_state *state = disk->files; state; state = state->next) {
        clear_pending(state);
        free(state->pending);
        free(state->durable.bytes);
        state->pending = NULL;
        state->pending_capacity = 0;
        state->durable = (content){0};
    }
    pthread_mutex_unlock(&lock);
}

int64_t faulty_disk_operations(faulty_disk *disk) {
    pthread_mutex_lock(&lock);
    int64_t count = disk->operations;
    pthread_mutex_unlock(&lock);
    return count;
}

void faulty_disk_cut_at(faulty_disk *disk, int64_t operations) {
    pthread_mutex_lock(&lock);
    disk->cut_at = operations;
    if (operations >= 0 && disk->operations >= operations) disk->is_cut = 1;
    pthread_mutex_unlock(&lock);
}

int faulty_disk_is_cut(faulty_disk *disk) {
    pthread_mutex_lock(&lock);
    int is_cut = disk->is_cut;
    pthread_mutex_unlock(&lock);
    return is_cut;
}

void faulty_disk_ignore_syncs(faulty_disk *disk, int files) {
    pthread_mutex_lock(&lock);
    disk->ignored_syncs = files;
    pthread_mutex_unlock(&lock);
}

void faulty_disk_fail(faulty_disk *disk, int operations, int files, int64_t skip, int64_t count, int answer) {
    pthread_mutex_lock(&lock);
    disk->failing_operations = operations;
    disk->failing_files = files;
    disk->skip = skip;
    disk->count = count;
    disk->answer = answer;
    pthread_mutex_unlock(&lock);
}

int64_t faulty_disk_failures(faulty_disk *disk) {
    pthread_mutex_lock(&lock);
    int64_t count = disk->failures;
    pthread_mutex_unlock(&lock);
    return count;
}

uint64_t faulty_disk_random(uint64_t *state) {
    uint64_t mixed = (*state += 0x9E3779B97F4A7C15);
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
    return mixed ^ (mixed >> 31);
}

// What is left of one file. Whatever a write touched, the disk may hold it as it was before or as it was after that
// write, sector by sector; a sector is never torn.
static content left_of(const faulty_state *state, uint64_t *random) {
    enum { NOTHING, EVERYTHING, FIRST_WRITES, SOME_WRITES, SOME_SECTORS, MODES };
    content seen = copy_of(&state->durable), left = copy_of(&state->durable);
    int mode = (int)(faulty_disk_random(random) % MODES);
    int64_t first = state->pending_count ? (int64_t)(faulty_disk_random(random) % (uint64_t)(state->pending_count + 1)) : 0;
    for (int64_t i = 0; i < state->pending_count; i++) {
        const operation *operation = &state->pending[i];
        apply(&seen, operation);
        int coin = (int)(faulty_disk_random(random) & 1);
        int keeps = mode == EVERYTHING || (mode == FIRST_WRITES && i < first) || (mode == SOME_WRITES && coin);
        if (operation->is_truncate) {
            if ((keeps || (mode == SOME_SECTORS && coin)) && operation->size < left.size) resize(&left, operation->size);
            continue;
        }
        int64_t end = operation->offset + operation->size;
        for (int64_t sector = operation->offset / SECTOR; sector * SECTOR < end; sector++) {
            if (!keeps && !(mode == SOME_SECTORS && (faulty_disk_random(random) & 1))) continue;
            int64_t start = sector * SECTOR, size = seen.size - start < SECTOR ? seen.size - start : SECTOR;
            put(&left, seen.bytes + start, start, size);
        }
    }
    // The length of a file is written apart from its bytes.
    if (mode != NOTHING && seen.size > left.size && (faulty_disk_random(random) & 1)) resize(&left, seen.size);
    free(seen.bytes);
    return left;
}

int faulty_disk_survive(faulty_disk *disk, uint64_t seed, const char *folder) {
    int status = 0;
    uint64_t random = seed;
    pthread_mutex_lock(&lock);
    for (faulty_state *state = disk->files; state; state = state->next) {
        // The entry in the folder: durable after the first sync of the file, and until a deletion is.
        int coin = (int)(faulty_disk_random(&random) & 1);
        if (!state->is_durable && !(state->exists && coin)) continue;
        if (state->is_durable && !state->exists && coin) continue;
        content left = left_of(state, &random);
        size_t length = strlen(folder) + strlen(state->name) + 2;
        char *path = must(malloc(length));
        snprintf(path, length, "%s/%s", folder, state->name);
        FILE *file = fopen(path, "wb");
        if (!file || (left.size > 0 && fwrite(left.bytes, 1, (size_t)left.size, file) != (size_t)left.size)) status = -1;
        if (file && fclose(file)) status = -1;
        free(path);
        free(left.bytes);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

int faulty_execute(const char *path, const char *sql) {
    sqlite3 *database;
    int result = sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE, NULL);
    if (result == SQLITE_OK) result = sqlite3_exec(database, sql, NULL, NULL, NULL);
    sqlite3_close(database);
    return result;
}
