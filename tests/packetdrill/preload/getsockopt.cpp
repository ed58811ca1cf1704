// For LD_PRELOAD beside the library. What a script says in %{ }% is about TCP_INFO and its like, which the tool asks the kernel
// for by itself (getsockopt on the descriptor) instead of going through the table; here the question goes to the table.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

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
        const socklen_t room = length == nullptr ? 0 : *length;
        const int result = hook.getsockopt(hook.userdata, fd, level, name, value, length);
        // The tool insists on the structure of the newest kernel; fields that we do not have are 0.
        if (result == 0 && level == IPPROTO_TCP && name == TCP_INFO && *length < room) {
            std::memset(static_cast<char*>(value) + *length, 0, room - *length);
            *length = room;
        }
        if (result == 0 || errno != ENOTSOCK) return result;
    }
    return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, length));
}

}  // extern "C"
