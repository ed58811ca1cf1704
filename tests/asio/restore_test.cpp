// An Asio program that dies at any step and comes back from its last snapshot: sockets made from restored
// handles go on, the acceptor finds its listener, and what the program knew agrees with what the stack gives
// it.
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <keepnet/checkpoint.hpp>

#include "rig.hpp"

namespace {

using test::Rig;
using test::tcp;
using test::net::awaitable;
using test::net::use_awaitable;
namespace checkpoint = keepnet::checkpoint;
namespace net = test::net;

// What the server knows, as plain data: it is in the snapshot, as a blob.
struct Knowledge {
    std::uint64_t connection = 0;  // its handle
    std::uint64_t bytes = 0;       // how many it has read
    std::uint64_t digest = 0;      // of these
};

std::uint64_t digest_of(std::uint64_t before, const std::uint8_t* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) before = (before ^ data[i]) * 0x100000001b3U;
    return before;
}

/// One incarnation of a server that digests an upload and answers with the digest.
class Server {
  public:
    Server(Rig& rig, checkpoint::SnapshotStore& store, const Knowledge& known)
        : rig_(rig), known_(std::make_shared<Knowledge>(known)), acceptor_(*rig.context_b, {tcp::v6(), 7}) {
        rig.context_b->on_commit_wanted([&rig, &store, mine = known_](keepnet::Instant) {
            std::vector<std::uint8_t> blob(sizeof *mine);
            std::memcpy(blob.data(), mine.get(), sizeof *mine);
            REQUIRE(checkpoint::save(rig.b->stack, store, {.blobs = {{"server", blob}}}).has_value());
        });
        if (known_->connection != 0) {
            serve(tcp::socket(*rig.context_b, keepnet::SocketHandle{known_->connection}));
        } else {
            accept();
        }
    }

    [[nodiscard]] const Knowledge& known() const { return *known_; }

  private:
    void accept() {
        acceptor_.async_accept([this, mine = known_](boost::system::error_code failure, tcp::socket socket) {
            if (failure) return;
            mine->connection = socket.native_handle().raw;
            serve(std::move(socket));
        });
    }

    void serve(tcp::socket socket) {
        net::co_spawn(rig_.io, digest(rig_.b->stack, std::move(socket), known_), [](std::exception_ptr) {});
    }

    static awaitable<void> digest(keepnet::Stack& stack, tcp::socket socket,
                                  std::shared_ptr<Knowledge> known) {
        std::array<std::uint8_t, 5000> data;
        for (;;) {
            const auto [failure, bytes] =
                co_await socket.async_read_some(net::buffer(data), net::as_tuple(use_awaitable));
            if (failure == net::error::eof) break;
            if (failure) co_return;
            known->digest = digest_of(known->digest, data.data(), bytes);
            known->bytes += bytes;
        }
        // How much of the answer an earlier life has written, the handle knows.
        const auto written = stack.info(socket.native_handle())->tx_accepted;
        const auto answer = std::to_string(known->digest) + "\n";
        co_await net::async_write(socket, net::buffer(answer) + written, use_awaitable);
        boost::system::error_code closed_before;
        socket.shutdown(tcp::socket::shutdown_send, closed_before);
        // Keeps the connection until the peer has everything.
        net::steady_timer forever(socket.get_executor(), std::chrono::hours(1));
        co_await forever.async_wait(use_awaitable);
    }

    Rig& rig_;
    std::shared_ptr<Knowledge> known_;
    tcp::acceptor acceptor_;
};

/// An upload of `total` bytes; the server dies every `steps` steps of the io_context.
void upload_across_crashes(std::size_t total, int steps, int crashes) {
    Rig rig(keepnet::DurabilityPolicy::snapshot);
    checkpoint::MemoryStore store;
    auto server = std::make_unique<Server>(rig, store, Knowledge{});
    REQUIRE(checkpoint::save(rig.b->stack, store,
                             {.blobs = {{"server", std::vector<std::uint8_t>(sizeof(Knowledge))}}}));

    std::vector<std::uint8_t> sent(total);
    for (std::size_t i = 0; i < total; ++i) sent[i] = test::pattern(i);
    std::string answer;
    tcp::socket client(rig.context_a);
    rig.spawn([&]() -> awaitable<void> {
        co_await client.async_connect(rig.at_b(7), use_awaitable);
        co_await net::async_write(client, net::buffer(sent), use_awaitable);
        client.shutdown(tcp::socket::shutdown_send);
        const auto [failure, bytes] =
            co_await net::async_read(client, net::dynamic_buffer(answer), net::as_tuple(use_awaitable));
        CHECK(failure == net::error::eof);
    });

    int died = 0;
    int step = 0;
    while (rig.unfinished != 0 && !rig.failure) {
        const bool alive =
            rig.run_until([&] { return rig.unfinished == 0 || ++step % steps == 0; }, keepnet::seconds(300));
        INFO("after " << died << " crashes, " << step << " steps");
        REQUIRE(alive);
        if (rig.unfinished == 0 || died == crashes) continue;
        ++died;
        // As kill -9: nothing is said to anybody, and everything since the last commit is gone.
        rig.context_b.reset();
        server.reset();
        rig.b.reset();
        Knowledge known;
        rig.b = std::make_unique<test::Host>(
            std::uint8_t{2}, rig.link.b(), keepnet::DurabilityPolicy::snapshot,
            [&](std::span<std::byte> arena, const keepnet::StackConfig& config) {
                checkpoint::RestoreOptions options{.now = rig.now, .elapsed = keepnet::milliseconds(5)};
                options.entropy.fill(static_cast<std::uint8_t>(died));
                auto restored = checkpoint::restore(arena, config, *store.snapshot, options);
                INFO((restored ? "" : restored.error().message));
                REQUIRE(restored.has_value());
                REQUIRE(restored->blobs.size() == 1);
                std::memcpy(&known, restored->blobs[0].bytes.data(), sizeof known);
                return std::move(restored->stack);
            });
        rig.context_b = std::make_unique<keepnet::asio::context>(rig.io, rig.b->stack, rig.options());
        if (known.connection != 0) {
            // The two halves of the snapshot are of one instant.
            const auto info = rig.b->stack.info(keepnet::SocketHandle{known.connection});
            REQUIRE(info.has_value());
            CHECK(info->rx_consumed == known.bytes);
            CHECK_FALSE(info->claimed);
        }
        server = std::make_unique<Server>(rig, store, known);
        rig.b->stack.ready(true);
    }
    if (rig.failure) std::rethrow_exception(rig.failure);
    CHECK(died == crashes);
    CHECK(server->known().bytes == total);
    CHECK(answer == std::to_string(digest_of(0, sent.data(), total)) + "\n");
}

TEST_CASE("an upload goes on across crashes of the server at any step") {
    for (const int steps : {7, 23, 101, 211}) {
        DYNAMIC_SECTION("a crash every " << steps << " steps") {
            // A step moves a thousand bytes or more: enough of them for twelve deaths.
            upload_across_crashes(200'000 + static_cast<std::size_t>(steps) * 25'000, steps, 12);
        }
    }
}

TEST_CASE("a restored connection that does not go on ends the read that waits for it, whoever ended it") {
    using keepnet::Verdict;
    enum class Source { policy, peer, address };
    for (const auto& [source, verdict] : {std::pair{Source::policy, Verdict::dropped_by_policy},
                                          std::pair{Source::peer, Verdict::reset_by_peer},
                                          std::pair{Source::address, Verdict::address_gone}}) {
        CAPTURE(static_cast<int>(source));
        Rig rig(keepnet::DurabilityPolicy::none);
        checkpoint::MemoryStore store;
        auto ends = std::make_unique<std::pair<tcp::socket, tcp::socket>>(rig.connected());
        const auto handle = ends->second.native_handle();
        REQUIRE(checkpoint::save(rig.b->stack, store, {}).has_value());
        rig.context_b.reset();
        tcp::socket client = std::move(ends->first);
        ends.reset();
        rig.b.reset();
        rig.b = std::make_unique<test::Host>(
            std::uint8_t{2}, rig.link.b(), keepnet::DurabilityPolicy::none,
            [&](std::span<std::byte> arena, const keepnet::StackConfig& config) {
                checkpoint::RestoreOptions options{.now = rig.now};
                if (source == Source::policy) {
                    options.policy = [](const checkpoint::SocketReport&) { return checkpoint::ConnectionPolicy::drop; };
                }
                auto restored = checkpoint::restore(arena, config, *store.snapshot, options);
                REQUIRE(restored.has_value());
                return std::move(restored->stack);
            });
        rig.context_b = std::make_unique<keepnet::asio::context>(rig.io, rig.b->stack, rig.options());
        tcp::socket again(*rig.context_b, handle);
        rig.b->stack.ready(true);
        std::array<std::uint8_t, 10> data;
        std::optional<boost::system::error_code> ended;
        again.async_read_some(net::buffer(data), [&](boost::system::error_code failure, std::size_t) { ended = failure; });
        if (source != Source::policy) {
            // It waits, for there is nothing to say yet.
            rig.settle();
            CHECK_FALSE(ended.has_value());
        }
        if (source == Source::peer) REQUIRE(rig.a.stack.abort(client.native_handle()).has_value());
        if (source == Source::address) REQUIRE(rig.b->stack.remove_address(1, rig.b->address).has_value());
        rig.context_a.wake();
        rig.context_b->wake();
        CHECK(rig.run_until([&] { return ended.has_value(); }, keepnet::seconds(1)));
        CHECK(rig.b->stack.info(handle)->verdict == verdict);
        if (!ended.has_value()) continue;
        CHECK(ended->failed());
        CHECK(*ended != net::error::operation_aborted);
        CHECK(*ended != net::error::eof);
    }
}

TEST_CASE("a restored listener is found by an acceptor that binds as if nothing had been there") {
    Rig rig(keepnet::DurabilityPolicy::snapshot);
    checkpoint::MemoryStore store;
    keepnet::SocketHandle before;
    {
        tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 7});
        before = acceptor.native_handle();
        REQUIRE(checkpoint::save(rig.b->stack, store, {}).has_value());
        rig.context_b.reset();
    }
    rig.b.reset();
    rig.b = std::make_unique<test::Host>(std::uint8_t{2}, rig.link.b(), keepnet::DurabilityPolicy::snapshot,
                                         [&](std::span<std::byte> arena, const keepnet::StackConfig& config) {
                                             auto restored = checkpoint::restore(
                                                 arena, config, *store.snapshot, {.now = rig.now});
                                             REQUIRE(restored.has_value());
                                             return std::move(restored->stack);
                                         });
    rig.context_b = std::make_unique<keepnet::asio::context>(rig.io, rig.b->stack, rig.options());
    tcp::acceptor again(*rig.context_b, {tcp::v6(), 7});
    CHECK(again.native_handle() == before);
    CHECK(rig.b->stack.info(before)->claimed);
    rig.b->stack.ready(true);
    CHECK(again.is_open());
}

}  // namespace
