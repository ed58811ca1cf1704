// The demo server between two stacks in memory, under virtual time: what it answers, and that a crash at any
// instant changes not one byte of it.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <optional>
#include <random>
#include <string>

#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>

#include "logic/server.hpp"
#include "support/arena.hpp"

namespace {

using namespace keepnet;
using http_server::Server;
using test::Arena;

StackConfig config_of(DurabilityPolicy policy) {
    StackConfig config;
    config.policy = policy;
    config.nd.dad_transmits = 0;
    config.capacity.packet_buffers = 2048;
    config.capacity.sockets = config.capacity.tcp_connections = 64;
    config.capacity.tcp_tombstones = 32;
    config.tcp.receive_buffer = config.tcp.send_buffer = 64 * 1024;
    return config;
}

Ipv6Address address_of(std::uint16_t host) {
    return Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, host});
}

struct Host {
    explicit Host(DurabilityPolicy policy) : config(config_of(policy)) { fresh_arena(); }
    void fresh_arena() { arena = Arena(Stack::arena_bytes(config)); }
    void create(LinkDevice& device, std::uint16_t host, Instant now) {
        stack.emplace(
            std::move(Stack::create(arena.span(), config, {.now = now, .arena_is_zeroed = true}).value()));
        const auto nic = stack->attach_device(device, {}).value();
        REQUIRE(stack->add_address(nic, address_of(host), 64));
    }

    StackConfig config;
    Arena arena;
    std::optional<Stack> stack;
};

// A client that says what it is told and keeps what it hears; a server that snapshots, and crashes now and
// then.
class World {
  public:
    explicit World(Duration commit_delay) : commit_delay_(commit_delay) {
        client_.create(link_.a(), 1, now_);
        server_.create(link_.b(), 2, now_);
        app_.emplace(*server_.stack, http_server::ServerConfig{});
        REQUIRE(app_->listen({.port = 80}));
        snapshot();
        durable_ = *pending_;
        REQUIRE(server_.stack->committed(durable_.cut));
        pending_.reset();
    }

    /// Everything the server says to `request`; the client closes its side behind it if `half_close`.
    std::string ask(std::string_view request, bool half_close = true) {
        connect();
        while (!ended_) {
            REQUIRE(now_.ns < seconds(600).ns);
            say(request, half_close);
            step();
        }
        REQUIRE(client_.stack->close(socket_));
        return std::exchange(heard_, {});
    }
    void connect() {
        socket_ = client_.stack->open_tcp().value();
        REQUIRE(client_.stack->connect(socket_, {.address = address_of(2), .port = 80}));
        said_ = 0;
        ended_ = closed_ = false;
    }
    void say(std::string_view request, bool half_close) {
        while (said_ < request.size()) {
            const auto rest = request.substr(said_);
            const auto sent = client_.stack->send(
                socket_, {reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size()});
            if (!sent) break;
            said_ += *sent;
        }
        if (said_ < request.size() || !half_close || closed_) return;
        closed_ = client_.stack->shutdown(socket_, CloseDirection::send).has_value();
    }
    void step() {
        now_ = now_ + microseconds(250);
        client_.stack->poll(now_);
        while (client_.stack->next_ready()) {
        }
        listen_to_server();
        server_.stack->poll(now_);
        while (const auto ready = server_.stack->next_ready()) app_->on_ready(*ready, now_);
        if (app_->next_deadline() <= now_) app_->on_time(now_);
        if (pending_ && pending_->due <= now_) {
            durable_ = std::move(*pending_);
            pending_.reset();
            REQUIRE(server_.stack->committed(durable_.cut));
        }
        if (!pending_ && server_.stack->commit_wanted() <= now_) snapshot();
    }
    /// The server's host loses everything but its last committed snapshot.
    void crash() {
        pending_.reset();
        app_.reset();
        server_.fresh_arena();
        auto restored = checkpoint::restore(server_.arena.span(), server_.config, durable_.bytes,
                                            {.now = now_, .elapsed = Duration{0}, .arena_is_zeroed = true});
        REQUIRE(restored.has_value());
        server_.stack.emplace(std::move(restored->stack));
        REQUIRE(server_.stack->attach_device(link_.b(), {}));
        REQUIRE(restored->blobs.size() == 1);
        app_.emplace(*server_.stack, http_server::ServerConfig{});
        const auto loaded = app_->load(restored->blobs[0].bytes, now_);
        REQUIRE(loaded.has_value());
        server_.stack->ready(true);
    }

    [[nodiscard]] const std::string& heard() const { return heard_; }
    [[nodiscard]] Server& app() { return *app_; }
    [[nodiscard]] Stack& server_stack() { return *server_.stack; }
    [[nodiscard]] Instant now() const { return now_; }
    [[nodiscard]] bool ended() const { return ended_; }

  private:
    struct Snapshot {
        CutId cut = 0;
        Instant due{};
        std::vector<std::uint8_t> bytes;
    };

    void snapshot() {
        const auto cut = server_.stack->cut().value();
        checkpoint::EncodeOptions options;
        options.blobs.push_back({.name = "app", .bytes = {}});
        app_->save(options.blobs[0].bytes);
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(*server_.stack, cut, std::move(options), sink));
        pending_ = Snapshot{cut, now_ + commit_delay_, std::move(sink.bytes)};
    }
    void listen_to_server() {
        std::array<std::uint8_t, 16384> buffer;
        for (;;) {
            const auto n = client_.stack->receive(socket_, buffer);
            if (!n) {
                INFO("the client's error: " << name(n.error()));
                const bool waits = n.error() == Error::would_block || n.error() == Error::not_connected;
                CHECK((waits || n.error() == Error::end_of_stream));
                ended_ = !waits;
                return;
            }
            heard_.append(reinterpret_cast<const char*>(buffer.data()), *n);
        }
    }

    Instant now_{seconds(1).ns};
    Duration commit_delay_;
    drivers::MemoryLink<256> link_;
    Host client_{DurabilityPolicy::none};
    Host server_{DurabilityPolicy::snapshot};
    std::optional<Server> app_;
    std::optional<Snapshot> pending_;
    Snapshot durable_;
    SocketHandle socket_{};
    std::size_t said_ = 0;
    bool closed_ = false;
    bool ended_ = false;
    std::string heard_;
};

std::string pattern(std::size_t bytes) {
    std::string text(bytes, '\0');
    http_server::fill_bytes(12345, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    return text;
}

std::string digest(const std::string& text) {
    http_server::Sha256State state;
    update(state, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    const auto digits = http_server::hex(finish(state));
    return {digits.begin(), digits.end()};
}

std::string chunked(const std::string& body) {
    std::string text;
    for (std::size_t at = 0, size = 1; at < body.size(); at += size, size = size * 2 + 1) {
        const auto piece = body.substr(at, size);
        std::array<char, 32> line;
        std::snprintf(line.data(), line.size(), "%zx;a=b\r\n", piece.size());
        text += line.data() + piece + "\r\n";
    }
    return text + "0\r\nTrailer: x\r\n\r\n";
}

struct Case {
    std::string name;
    std::string request;
    std::string status;  // the first line begins with it
    std::string tail;    // and the answer ends with that
};

std::vector<Case> cases() {
    const auto get = [](const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"; };
    const auto bytes = [](std::size_t n) {
        std::string text(n, '\0');
        http_server::fill_bytes(0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
        return text;
    };
    const auto body = pattern(150'000);
    const std::string upload = "PUT /upload HTTP/1.1\r\nHost: x\r\n";
    return {
        {"page", get("/"), "HTTP/1.1 200", "</html>\n"},
        {"download", get("/bytes/200000"), "HTTP/1.1 200", bytes(200'000)},
        {"nothing", get("/bytes/0"), "HTTP/1.1 200", "\r\n\r\n"},
        {"head", "HEAD /bytes/77 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "\r\n\r\n"},
        {"upload", upload + "Content-Length: 150000\r\n\r\n" + body, "HTTP/1.1 200", digest(body) + "\n"},
        {"upload with Expect", upload + "Expect: 100-continue\r\nContent-Length: 150000\r\n\r\n" + body,
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", digest(body) + "\n"},
        {"chunked", upload + "Transfer-Encoding: chunked\r\n\r\n" + chunked(body), "HTTP/1.1 200",
         digest(body) + "\n"},
        {"empty upload", upload + "\r\n", "HTTP/1.1 200", digest("") + "\n"},
        {"pipeline",
         get("/bytes/30000") + get("/bytes/7") + upload + "Content-Length: 3\r\n\r\nabc" +
             get("/bytes/50000"),
         "HTTP/1.1 200", bytes(50'000)},
        {"close", "GET /bytes/9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", bytes(9)},
        {"absent", get("/absent"), "HTTP/1.1 404", "404 Not Found\n"},
        {"not a number", get("/bytes/-1"), "HTTP/1.1 404", "404 Not Found\n"},
        {"method", "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405", "405 Method Not Allowed\n"},
        {"unknown method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501", "501 Not Implemented\n"},
        {"nonsense", "nonsense\r\n\r\n", "HTTP/1.1 400", "400 Bad Request\n"},
        {"no host", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "400 Bad Request\n"},
        {"two lengths", upload + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "HTTP/1.1 400",
         "400 Bad Request\n"},
        {"bad chunk", upload + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "HTTP/1.1 400",
         "400 Bad Request\n"},
        {"chunk without end", upload + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "HTTP/1.1 400",
         "400 Bad Request\n"},
        {"huge chunk", upload + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "HTTP/1.1 413",
         "Large\n"},
        {"coding", upload + "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501", "501 Not Implemented\n"},
        {"too much", upload + "Content-Length: 9999999999999999\r\n\r\n", "HTTP/1.1 413",
         "413 Content Too Large\n"},
        {"large head", "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n", "HTTP/1.1 431",
         "Large\n"},
        {"half a head", "GET / HTTP/1.1\r\nHo", "", ""},
        {"half an upload", upload + "Content-Length: 10\r\n\r\nabc", "", ""},
    };
}

}  // namespace

TEST_CASE("The demo server answers as HTTP/1.1 says", "[http]") {
    for (const auto& test : cases()) {
        INFO(test.name);
        World world(milliseconds(2));
        const auto answer = world.ask(test.request);
        CHECK(answer.starts_with(test.status));
        CHECK(answer.ends_with(test.tail));
        if (test.status.empty()) CHECK(answer.empty());
    }
}

TEST_CASE("A crash at any instant changes no byte of an answer", "[http]") {
    const auto test_cases = cases();
    const auto seed = GENERATE(range(0U, 12U));
    for (const auto& test : test_cases) {
        INFO(test.name << ", seed " << seed);
        World calm(milliseconds(2));
        const auto expected = calm.ask(test.request);
        std::mt19937 random(seed);
        World world(milliseconds(1 + seed % 5));
        world.connect();
        int until_crash = static_cast<int>(random() % 40);
        while (!world.ended()) {
            REQUIRE(world.now().ns < seconds(600).ns);
            world.say(test.request, true);
            world.step();
            if (--until_crash > 0) continue;
            until_crash = static_cast<int>(10 + random() % 200);
            world.crash();
        }
        CHECK(world.heard().size() == expected.size());
        CHECK(world.heard() == expected);
    }
}

TEST_CASE("Server-sent events are numbered without a gap through crashes", "[http]") {
    World world(milliseconds(3));
    world.connect();
    for (int i = 1; i <= 40'000; ++i) {
        world.say("GET /events HTTP/1.1\r\nHost: x\r\n\r\n", false);
        world.step();
        if (i % 1777 == 0) world.crash();
    }
    CHECK_FALSE(world.ended());
    const auto& text = world.heard();
    CHECK(text.find("text/event-stream") != text.npos);
    unsigned last = 0;
    for (std::size_t at = text.find("\nid: "); at != text.npos; at = text.find("\nid: ", at + 1)) {
        const auto number = std::stoul(text.substr(at + 5));
        CHECK(number == last + 1);
        last = static_cast<unsigned>(number);
    }
    CHECK(last >= 40);  // ten seconds, five a second, some spent on waking up
    CHECK(text.find("\"restarts\":20") != text.npos);
    CHECK(text.find("\"doing\":\"events\"") != text.npos);
}

TEST_CASE("A blob that does not fit is refused, and never believed", "[http]") {
    World world(milliseconds(2));
    world.connect();
    for (int i = 0; i < 40; ++i) {
        world.say("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n" + pattern(20'000),
                  false);
        world.step();
    }
    REQUIRE(world.app().connections().size() == 1);
    REQUIRE(world.app().connections()[0].hash.bytes > 0);
    std::vector<std::uint8_t> blob;
    world.app().save(blob);

    const auto load = [&](const std::vector<std::uint8_t>& bytes) {
        Server server(world.server_stack(), {});
        return server.load(bytes, world.now()).has_value();
    };
    CHECK(load(blob));
    for (std::size_t n = 0; n < blob.size(); ++n) {
        CHECK_FALSE(load({blob.begin(), blob.begin() + static_cast<std::ptrdiff_t>(n)}));
    }
    auto longer = blob;
    longer.push_back(0);
    CHECK_FALSE(load(longer));
    auto twice = blob;
    twice.insert(twice.end(), blob.end() - sizeof(http_server::ConnectionState), blob.end());
    twice[32] = 2;  // the count
    CHECK_FALSE(load(twice));
    // A flipped bit is refused, or is a value that some other upload could have had: never an offset that is
    // not ours.
    for (std::size_t i = 0; i < blob.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto flipped = blob;
            flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ 1U << bit);
            Server server(world.server_stack(), {});
            if (!server.load(flipped, world.now())) continue;
            const auto& c = server.connections()[0];
            const auto info = world.server_stack().info({c.socket}).value();
            CHECK(c.hash.bytes == info.rx_consumed - c.body_start);
            CHECK(c.body_end >= info.rx_consumed);
        }
    }
}
