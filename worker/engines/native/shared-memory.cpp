// Memory that processes of one user share: made by one of them without a name in any folder, and mapped by others
// through /proc/PID/fd/N. It is gone when the last of them is. On Linux; elsewhere both functions throw.
#include "napi-support.h"
#if defined(__linux__)
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace {

#if defined(__linux__)
// Sealed: a memory that cannot shrink cannot end under whoever reads it.
constexpr int SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

[[noreturn]] void failed(const char *what) {
  throw ArgumentError{false, std::string(what) + " failed: " + std::strerror(errno)};
}

struct File {
  int descriptor;
  bool isKept = false;
  ~File() {
    if (descriptor >= 0 && !isKept) close(descriptor);
  }
};

napi_value mapped(napi_env env, int descriptor, size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) failed("mmap");
  napi_value buffer;
  const napi_status status = napi_create_external_arraybuffer(
      env, memory, bytes, [](napi_env, void *data, void *length) { munmap(data, (size_t)length); }, (void *)bytes,
      &buffer);
  if (status != napi_ok) {
    munmap(memory, bytes);
    check(status);
  }
  return buffer;
}

// createSharedMemory(numBytes) -> { descriptor, memory }
napi_value createSharedMemory(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const size_t bytes = (size_t)Arguments(env, info, 1).integer(0, "numBytes", 1, INT32_MAX);
    File file = {memfd_create("gradsock", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (file.descriptor < 0) failed("memfd_create");
    if (ftruncate(file.descriptor, (off_t)bytes) != 0) failed("ftruncate");
    if (fcntl(file.descriptor, F_ADD_SEALS, SEALS) != 0) failed("sealing");
    napi_value result;
    check(napi_create_object(env, &result));
    check(napi_set_named_property(env, result, "memory", mapped(env, file.descriptor, bytes)));
    setNumber(env, result, "descriptor", file.descriptor);
    file.isKept = true;
    return result;
  });
}

// openSharedMemory(processId, descriptor, numBytes) -> memory
napi_value openSharedMemory(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info, 3);
    const int process = arguments.integer(0, "processId", 1, INT32_MAX),
              descriptor = arguments.integer(1, "descriptor", 0, INT32_MAX);
    const size_t bytes = (size_t)arguments.integer(2, "numBytes", 1, INT32_MAX);
    const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
    // Not blocking: what lies there in another namespace of processes may be a pipe.
    const File file = {open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)};
    if (file.descriptor < 0) failed("open");
    const int seals = fcntl(file.descriptor, F_GET_SEALS);
    struct stat status;
    if (seals != SEALS || fstat(file.descriptor, &status) != 0 || (size_t)status.st_size != bytes)
      throw ArgumentError{true, path + " is not the memory of " + std::to_string(bytes) + " bytes that was named"};
    return mapped(env, file.descriptor, bytes);
  });
}
#else
napi_value createSharedMemory(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value { throw ArgumentError{false, "shared memory needs Linux"}; });
}
napi_value openSharedMemory(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value { throw ArgumentError{false, "shared memory needs Linux"}; });
}
#endif

} // namespace

void exportSharedMemory(napi_env env, napi_value exports) {
  exportFunctions(env, exports,
                  {{"createSharedMemory", createSharedMemory}, {"openSharedMemory", openSharedMemory}});
}
