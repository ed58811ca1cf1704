#include <errno.h>
#include <keepnet/posix.h>

/* No stack yet. */
int main(void) { return kn_socket(AF_INET6, SOCK_STREAM, 0) == -1 && errno == ENETDOWN ? 0 : 1; }
