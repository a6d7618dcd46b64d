/* A disk that refuses: loaded before libc, it fails chosen operations below a folder.

   cc -shared -fPIC -O1 -o refusing.so refusing.c -ldl
   REFUSE_UNDER=DIR REFUSE_LOG=FILE LD_PRELOAD=./refusing.so python ...

   FILE is shared by all processes and begins with four numbers of eight bytes. The
   operations that the error could meet are counted in the first one. If the second, AT,
   is not 0, operation AT fails with the error of the third, and if the fourth is not 0
   all later ones too. What failed first is written after them. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READS = 1, GROWS = 2, CHANGES = 4 };

struct log { unsigned long count, at, number, on; char first[480]; };

static struct log *shared;
static const char *under;

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("REFUSE_LOG");
  under = getenv("REFUSE_UNDER");
  if (!file || !under) return;
  REAL(int, open, const char *, int, ...);
  int handle = real(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (handle < 0) return;
  if (ftruncate(handle, sizeof(struct log)) == 0) {
    void *found = mmap(NULL, sizeof(struct log), PROT_READ | PROT_WRITE, MAP_SHARED,
                       handle, 0);
    if (found != MAP_FAILED) shared = found;
  }
  close(handle);
}

static int refused(const char *what, const char *path, int kind) {
  size_t size;
  int number, meets;
  unsigned long at;
  if (!shared || !path) return 0;
  at = shared->at;
  number = (int)shared->number;
  /* A full disk still reads and deletes, a read-only one still reads. */
  meets = number == EIO ? READS | GROWS | CHANGES
        : number == EROFS ? GROWS | CHANGES : GROWS;
  if (!(meets & kind)) return 0;
  size = strlen(under);
  if (strncmp(path, under, size) || (path[size] && path[size] != '/')) return 0;
  unsigned long mine = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
  if (!at || mine < at || (mine > at && !shared->on)) return 0;
  if (mine == at)
    snprintf(shared->first, sizeof shared->first, "%s %s", what, path + size);
  errno = number;
  return 1;
}

static const char *absolute(int folder, const char *path, char *room) {
  char name[64];
  ssize_t size;
  if (!path || path[0] == '/') return path;
  if (folder == AT_FDCWD) {
    if (!getcwd(room, PATH_MAX)) return NULL;
  } else {
    snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
    size = readlink(name, room, PATH_MAX - 1);
    if (size < 0) return NULL;
    room[size] = 0;
  }
  size_t left = PATH_MAX * 2 - strlen(room);
  if (path[0]) {
    strncat(room, "/", left - 1);
    strncat(room, path, left - 2);
  }
  return room;
}

#define ROOM char room[PATH_MAX * 2]

static int refused_at(const char *what, int folder, const char *path, int kind) {
  ROOM;
  int before = errno;
  const char *whole = shared ? absolute(folder, path, room) : NULL;
  errno = before;
  return refused(what, whole, kind);
}

static int refused_fd(const char *what, int handle, int kind) {
  return refused_at(what, handle, "", kind);
}

static int opens(int flags) {
  if (flags & O_CREAT) return GROWS;
  return (flags & O_ACCMODE) == O_RDONLY ? READS : CHANGES;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    if (refused_at("open", AT_FDCWD, path, opens(flags))) return -1; \
    return real(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    REAL(int, name, int, const char *, int, ...); \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    if (refused_at("openat", folder, path, opens(flags))) return -1; \
    return real(folder, path, flags, mode); \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
  FILE *name(const char *path, const char *mode) { \
    REAL(FILE *, name, const char *, const char *); \
    if (refused_at("fopen", AT_FDCWD, path, mode[0] == 'r' ? READS : GROWS)) return NULL; \
    return real(path, mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

DIR *opendir(const char *path) {
  REAL(DIR *, opendir, const char *);
  if (refused_at("opendir", AT_FDCWD, path, READS)) return NULL;
  return real(path);
}

#define HANDLE(type, name, kind, given, ...) \
  type name given { \
    REAL(type, name, __VA_ARGS__); \
    if (refused_fd(#name, handle, kind)) return -1; \
    return real
HANDLE(ssize_t, read, READS, (int handle, void *data, size_t size), int, void *, size_t)
  (handle, data, size); }
HANDLE(ssize_t, readv, READS, (int handle, const struct iovec *parts, int count),
       int, const struct iovec *, int)(handle, parts, count); }
HANDLE(ssize_t, pread, READS, (int handle, void *data, size_t size, off_t from),
       int, void *, size_t, off_t)(handle, data, size, from); }
HANDLE(ssize_t, pread64, READS, (int handle, void *data, size_t size, off64_t from),
       int, void *, size_t, off64_t)(handle, data, size, from); }
HANDLE(ssize_t, write, GROWS, (int handle, const void *data, size_t size),
       int, const void *, size_t)(handle, data, size); }
HANDLE(ssize_t, writev, GROWS, (int handle, const struct iovec *parts, int count),
       int, const struct iovec *, int)(handle, parts, count); }
HANDLE(ssize_t, pwrite, GROWS, (int handle, const void *data, size_t size, off_t from),
       int, const void *, size_t, off_t)(handle, data, size, from); }
HANDLE(ssize_t, pwrite64, GROWS,
       (int handle, const void *data, size_t size, off64_t from),
       int, const void *, size_t, off64_t)(handle, data, size, from); }
HANDLE(int, fsync, GROWS, (int handle), int)(handle); }
HANDLE(int, fdatasync, GROWS, (int handle), int)(handle); }
HANDLE(int, ftruncate, CHANGES, (int handle, off_t size), int, off_t)(handle, size); }
HANDLE(int, ftruncate64, CHANGES, (int handle, off64_t size), int, off64_t)
  (handle, size); }

int rename(const char *old, const char *new) {
  REAL(int, rename, const char *, const char *);
  if (refused_at("rename", AT_FDCWD, new, GROWS)) return -1;
  return real(old, new);
}
int renameat(int from, const char *old, int to, const char *new) {
  REAL(int, renameat, int, const char *, int, const char *);
  if (refused_at("renameat", to, new, GROWS)) return -1;
  return real(from, old, to, new);
}
int renameat2(int from, const char *old, int to, const char *new, unsigned int flags) {
  REAL(int, renameat2, int, const char *, int, const char *, unsigned int);
  if (refused_at("renameat2", to, new, GROWS)) return -1;
  return real(from, old, to, new, flags);
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, mkdir, const char *, mode_t);
  if (refused_at("mkdir", AT_FDCWD, path, GROWS)) return -1;
  return real(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
  REAL(int, mkdirat, int, const char *, mode_t);
  if (refused_at("mkdirat", folder, path, GROWS)) return -1;
  return real(folder, path, mode);
}
int unlink(const char *path) {
  REAL(int, unlink, const char *);
  if (refused_at("unlink", AT_FDCWD, path, CHANGES)) return -1;
  return real(path);
}
int unlinkat(int folder, const char *path, int flags) {
  REAL(int, unlinkat, int, const char *, int);
  if (refused_at("unlinkat", folder, path, CHANGES)) return -1;
  return real(folder, path, flags);
}
int rmdir(const char *path) {
  REAL(int, rmdir, const char *);
  if (refused_at("rmdir", AT_FDCWD, path, CHANGES)) return -1;
  return real(path);
}
int futimens(int handle, const struct timespec times[2]) {
  REAL(int, futimens, int, const struct timespec *);
  if (refused_fd("futimens", handle, CHANGES)) return -1;
  return real(handle, times);
}
int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
  REAL(int, utimensat, int, const char *, const struct timespec *, int);
  if (refused_at("utimensat", folder, path, CHANGES)) return -1;
  return real(folder, path, times, flags);
}
