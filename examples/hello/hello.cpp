// An echo server whose connections survive kill -9. Start it again with the same arguments and every one goes on:
//
//     hello echo0 fd00::2 hello-state &
//     ip -6 address add fd00::1/64 dev echo0 nodad
//     nc fd00::2 7
#include <array>
#include <cstdio>

#include <keepnet/hosted/host.hpp>

using namespace keepnet;

// It keeps nothing of its own: what was received and is not echoed yet is still in the stack, and so in each snapshot.
class Echo final : public hosted::Application {
  public:
    hosted::Result<> start(Stack& stack) override { return hosted::listen(stack, {.port = 7}); }

    void on_ready(Stack& stack, SocketHandle socket, Instant) override {
        const auto info = stack.info(socket);
        if (info && info->phase == TcpPhase::listen) {
            while (const auto accepted = stack.accept(socket)) echo(stack, *accepted);
        } else {
            echo(stack, socket);
        }
    }

  private:
    static void echo(Stack& stack, SocketHandle socket) {
        std::array<ByteView, 16> views;
        for (;;) {
            const auto count = stack.peek(socket, views);
            if (!count) return end(stack, socket, count.error());
            const auto sent = stack.send(socket, std::span(views).first(*count));
            if (!sent) return end(stack, socket, sent.error());
            (void)stack.consume(socket, *sent);
        }
    }
    static void end(Stack& stack, SocketHandle socket, Error why) {
        if (why != Error::would_block) (void)stack.close(socket);
    }
};

int main(int argc, char** argv) {
    const hosted::MainOptions options{.name = "hello", .usage = "usage: hello TAP-INTERFACE IPV6-ADDRESS STATE-DIRECTORY"};
    return hosted::run_main(argc, argv, options, [](auto arguments) -> hosted::Result<> {
        if (arguments.size() != 3) return hosted::wrong_usage("three arguments are needed; --help names them");
        const std::string tap(arguments[0]), address(arguments[1]), state(arguments[2]);
        auto host = hosted::Host::open(
            {.name = "hello", .state = state, .network = {.tap = tap, .address = address, .bring_up = true}});
        if (!host) return std::unexpected(host.error());
        std::printf("echo on [%s]:7, restarts survived: %llu\n", (*host)->network().address_text().c_str(),
                    static_cast<unsigned long long>((*host)->stack().restarts()));
        std::fflush(stdout);
        Echo echo;
        return (*host)->run(echo);
    });
}
