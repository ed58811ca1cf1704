// For LD_PRELOAD beside the library. What a script says in %{ }% is about TCP_INFO and its like, which the tool asks the kernel
// for by itself (getsockopt on the descriptor) instead of going through the table; here the question goes to the table.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

extern "C" {

/// Filled by packetdrill_interface_init, which looks for it by name.
struct keepnet_packetdrill_hook {
    int (*getsockopt)(void* userdata, int fd, int level, int name, void* value, socklen_t* length);
    void* userdata;
};
keepnet_packetdrill_hook keepnet_packetdrill_getsockopt{};

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    const keepnet_packetdrill_hook& hook = keepnet_packetdrill_getsockopt;
    if (hook.getsockopt != nullptr) {
        const int result = hook.getsockopt(hook.userdata, fd, level, name, value, length);
        if (result == 0 || errno != ENOTSOCK) return result;
    }
    return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, length));
}

}  // extern "C"
