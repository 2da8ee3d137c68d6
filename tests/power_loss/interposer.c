/*
 * A disk that can lose power, as a library to preload.
 *
 * It watches the files below POWER_FOLDER and keeps, in POWER_SHADOW, what a strict disk would still have after a power
 * cut: the bytes that were written before the last fsync or fdatasync of the file, under the names that existed at the
 * last fsync of the directory. sync_file_range makes nothing durable, as on a real disk with a write cache.
 *
 *   POWER_SHADOW/i<inode>.<generation>   durable bytes of a file
 *   POWER_SHADOW/d<inode>.<generation>   durable names of a directory: lines "f|d inode generation name"
 *   POWER_SHADOW/root                    "inode generation" of POWER_FOLDER
 *
 * What is below POWER_FOLDER when the process starts counts as durable.
 *   POWER_ROOM_BYTES   after so many bytes, writes fail with ENOSPC
 *   POWER_READ_ONLY    opening for writing fails with EROFS
 * Only for tests. Build: cc -shared -fPIC -o interposer.so interposer.c -ldl -lpthread
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 4096
#define MAX_FILES 65536

struct range { long from, to; struct range *next; };
/* A file or directory below the folder. */
struct node { unsigned long inode, generation; struct range *dirty; int live; };
enum watched { UNKNOWN, OUTSIDE, INSIDE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node nodes[MAX_FILES];
static int node_count;
static enum watched fds[MAX_FD];
static char folder[PATH_MAX], shadow[PATH_MAX];
static long room = -1;
static int read_only;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);

static void die(const char *what) {
    dprintf(2, "interposer: %s: %s\n", what, strerror(errno));
    _exit(97);
}

/* The node of an inode; a new generation when `fresh`, because inode numbers are used again. */
static struct node *node_of(unsigned long inode, int fresh) {
    for (int at = 0; at < node_count; at++) {
        if (nodes[at].live && nodes[at].inode == inode) {
            if (!fresh) return &nodes[at];
            nodes[at].live = 0;
        }
    }
    if (node_count == MAX_FILES) die("too many files");
    struct node *node = &nodes[node_count];
    *node = (struct node){ .inode = inode, .generation = (unsigned long)node_count, .dirty = NULL, .live = 1 };
    node_count++;
    return node;
}

static void shadow_path(char *path, char kind, const struct node *node) {
    snprintf(path, PATH_MAX, "%s/%c%lu.%lu", shadow, kind, node->inode, node->generation);
}

static void mark(struct node *node, long from, long to) {
    if (node->dirty && node->dirty->to == from) { node->dirty->to = to; return; }
    struct range *range = malloc(sizeof *range);
    if (!range) die("memory");
    *range = (struct range){ from, to, node->dirty };
    node->dirty = range;
}

/* Copies what is dirty to the shadow: this is the moment at which it becomes durable. */
static void keep_file(int source, struct node *node) {
    char path[PATH_MAX];
    shadow_path(path, 'i', node);
    int target = real_open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (target < 0) die(path);
    struct range *range = node->dirty;
    node->dirty = NULL;
    while (range) {
        char block[65536];
        long at = range->from;
        while (at < range->to) {
            long want = range->to - at < (long)sizeof block ? range->to - at : (long)sizeof block;
            ssize_t got = pread(source, block, (size_t)want, at);
            if (got < 0) die("reading back");
            if (got == 0) break;
            if (real_pwrite(target, block, (size_t)got, at) != got) die("keeping");
            at += got;
        }
        struct range *done = range;
        range = range->next;
        free(done);
    }
    struct stat now;
    if (fstat(source, &now) || real_ftruncate(target, now.st_size)) die("keeping the size");
    real_close(target);
}

/* Writes down the names of a directory; `all` also keeps every file in it as it is now. */
static void keep_directory(const char *name, struct node *node, int all) {
    char path[PATH_MAX], new_path[PATH_MAX + 8];
    shadow_path(path, 'd', node);
    snprintf(new_path, sizeof new_path, "%s.new", path);
    FILE *names = fopen(new_path, "we");
    DIR *directory = opendir(name);
    if (!names || !directory) die(name);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        char below[PATH_MAX];
        struct stat status;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(below, sizeof below, "%s/%s", name, entry->d_name);
        if (lstat(below, &status)) continue;
        struct node *child = node_of(status.st_ino, 0);
        int is_directory = S_ISDIR(status.st_mode);
        fprintf(names, "%c %lu %lu %s\n", is_directory ? 'd' : 'f', child->inode, child->generation, entry->d_name);
        if (all && is_directory) keep_directory(below, child, 1);
        if (all && !is_directory) {
            int source = real_open(below, O_RDONLY | O_CLOEXEC);
            if (source < 0) die(below);
            mark(child, 0, status.st_size);
            keep_file(source, child);
            real_close(source);
        }
    }
    closedir(directory);
    fclose(names);
    if (rename(new_path, path)) die(path);
}

__attribute__((constructor)) static void start(void) {
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_close = dlsym(RTLD_NEXT, "close");
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    const char *watch = getenv("POWER_FOLDER"), *keep = getenv("POWER_SHADOW");
    if (!watch || !keep) return;
    if (!realpath(watch, folder) || !realpath(keep, shadow)) die("POWER_FOLDER or POWER_SHADOW");
    struct stat status;
    if (stat(folder, &status)) die(folder);
    struct node *root = node_of(status.st_ino, 0);
    keep_directory(folder, root, 1);
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/root", shadow);
    FILE *file = fopen(path, "we");
    if (!file) die(path);
    fprintf(file, "%lu %lu\n", root->inode, root->generation);
    fclose(file);
    if (getenv("POWER_ROOM_BYTES")) room = atol(getenv("POWER_ROOM_BYTES"));
    read_only = getenv("POWER_READ_ONLY") != NULL;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || path[length] == 0 || path[length] == ' ');
}

static int is_inside(int fd) {
    if (!folder[0] || fd < 0 || fd >= MAX_FD) return 0;
    if (fds[fd] == UNKNOWN) {
        char path[PATH_MAX];
        fds[fd] = path_of(fd, path) && is_below(path) ? INSIDE : OUTSIDE;
    }
    return fds[fd] == INSIDE;
}

static struct node *node_of_fd(int fd, struct stat *status) {
    if (fstat(fd, status)) die("fstat");
    return node_of(status->st_ino, 0);
}

/* A failing disk: how many of these bytes still fit. */
static long admit(size_t bytes) {
    if (room < 0) return (long)bytes;
    long fits = room < (long)bytes ? room : (long)bytes;
    room -= fits;
    return fits;
}

static int opened(int fd, int is_new) {
    if (fd < 0) return fd;
    if (fd < MAX_FD) fds[fd] = UNKNOWN;
    if (is_new && is_inside(fd)) {
        struct stat status;
        if (fstat(fd, &status)) die("fstat");
        pthread_mutex_lock(&lock);
        node_of(status.st_ino, 1);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

static int open_watched(int at, const char *path, int flags, mode_t mode) {
    int below = path[0] == '/' && is_below(path);
    if (below && read_only && (flags & (O_WRONLY | O_RDWR | O_CREAT))) { errno = EROFS; return -1; }
    int is_new = (flags & O_CREAT) && faccessat(at, path, F_OK, 0) != 0;
    return opened(real_openat(at, path, flags, mode), is_new);
}

#define OPEN_MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { OPEN_MODE(flags) return open_watched(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE(flags) return open_watched(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { OPEN_MODE(flags) return open_watched(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { OPEN_MODE(flags) return open_watched(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    if (fd >= 0 && fd < MAX_FD) fds[fd] = UNKNOWN;
    return real_close(fd);
}

static void wrote(int fd, long at, ssize_t bytes) {
    struct stat status;
    if (bytes <= 0) return;
    pthread_mutex_lock(&lock);
    mark(node_of_fd(fd, &status), at, at + bytes);
    pthread_mutex_unlock(&lock);
}

static ssize_t pwrite_watched(int fd, const void *bytes, size_t count, off_t at) {
    if (!is_inside(fd)) return real_pwrite(fd, bytes, count, at);
    long fits = admit(count);
    if (fits == 0 && count > 0) { errno = ENOSPC; return -1; }
    ssize_t written = real_pwrite(fd, bytes, (size_t)fits, at);
    wrote(fd, at, written);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite_watched(fd, bytes, count, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return pwrite_watched(fd, bytes, count, at); }

ssize_t write(int fd, const void *bytes, size_t count) {
    if (!is_inside(fd)) return real_write(fd, bytes, count);
    long fits = admit(count);
    if (fits == 0 && count > 0) { errno = ENOSPC; return -1; }
    ssize_t written = real_write(fd, bytes, (size_t)fits);
    if (written > 0) wrote(fd, lseek(fd, 0, SEEK_CUR) - written, written);
    return written;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    if (!is_inside(fd)) return real_writev(fd, pieces, count);
    /* A short write is allowed, and one piece is easiest to account for. */
    for (int at = 0; at < count; at++)
        if (pieces[at].iov_len) return write(fd, pieces[at].iov_base, pieces[at].iov_len);
    return 0;
}

int ftruncate(int fd, off_t size) {
    struct stat before;
    int inside = is_inside(fd) && !fstat(fd, &before);
    int result = real_ftruncate(fd, size);
    if (!result && inside) wrote(fd, before.st_size < size ? before.st_size : size, before.st_size < size ? size - before.st_size : 0);
    return result;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int sync_watched(int fd) {
    struct stat status;
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    struct node *node = node_of_fd(fd, &status);
    if (S_ISDIR(status.st_mode)) {
        if (path_of(fd, path)) keep_directory(path, node, 0);
    } else {
        /* Through /proc, because the descriptor may be write-only. */
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int source = real_open(link, O_RDONLY | O_CLOEXEC);
        if (source < 0) die("reopening");
        keep_file(source, node);
        real_close(source);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) {
    static int (*real_fsync)(int);
    if (is_inside(fd)) return sync_watched(fd);
    if (!real_fsync) real_fsync = dlsym(RTLD_NEXT, "fsync");
    return real_fsync(fd);
}

int fdatasync(int fd) {
    static int (*real_fdatasync)(int);
    if (is_inside(fd)) return sync_watched(fd);
    if (!real_fdatasync) real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    return real_fdatasync(fd);
}

int sync_file_range(int fd, off64_t from, off64_t bytes, unsigned int flags) {
    (void)fd; (void)from; (void)bytes; (void)flags;
    return 0;
}
