// The interpreter as a value: it goes on from its image as if it had never stopped, and a damaged image is
// refused.
#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <unistd.h>

#include "runtime/image.hpp"
#include "runtime/vm.hpp"

namespace {

using namespace persistent_runtime;
using keepnet::Instant;

// A world without a network, whose clock is set by hand.
class QuietHost final : public Host {
  public:
    keepnet::Stack* stack() override { return nullptr; }
    Instant now() override { return time; }
    std::uint64_t random() override { return 42; }
    std::optional<std::string> read_file(const std::string&, std::uint64_t, std::size_t) override {
        return {};
    }
    std::optional<std::uint64_t> file_bytes(const std::string&) override { return {}; }
    void write(std::string_view text) override { said += text; }
    void complain(std::string_view text) override { complaints += text; }

    Instant time{};
    std::string said;
    std::string complaints;
};

class Directory {
  public:
    Directory()
        : path_(std::filesystem::temp_directory_path() / ("keepnet-image." + std::to_string(::getpid()))) {
        std::filesystem::create_directory(path_);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string file(const char* name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Vm create(Arena& arena, QuietHost& host, const std::string& script) {
    auto vm = Vm::create(arena, host, script, "test.lua", {});
    REQUIRE(vm);
    return std::move(*vm);
}

// Lets the script run until its clock shows `until`; a task that never waits makes it go on by itself.
TurnResult run(Vm& vm, QuietHost& host, Instant until) {
    auto result = vm.turn(Event::time).value();
    while (result.tasks != 0 && result.next_deadline <= until && host.time < until) {
        host.time = std::max(host.time + keepnet::microseconds(400), result.next_deadline);
        result = vm.turn(Event::time).value();
    }
    return result;
}

void save(const Arena& arena, const std::string& path, const std::string& snapshot) {
    const keepnet::ByteView bytes{reinterpret_cast<const std::uint8_t*>(snapshot.data()), snapshot.size()};
    auto writer = ImageWriter::start(path, arena, {.number = 3, .runtime_now_ns = 4, .title = "test.lua"});
    REQUIRE(writer);
    REQUIRE((*writer)->finish(bytes));
}

// Everything that could betray that it was interrupted: loops, closures, generators, identities of tables and
// functions, the order of tables, random numbers, a task that never waits, an error handler, a finalizer.
constexpr const char* busy_script = R"(
local seen, order = {}, {}
local generator = coroutine.wrap(function()
  for i = 1, math.huge do sleep(0.001) coroutine.yield(i) end
end)
spawn(function() local n = 0 while true do n = n + 1 seen.n = n end end)
spawn(function()
  for i = 1, math.huge do
    order["key" .. i % 50] = {i}
    setmetatable({}, {__gc = function() seen.collected = (seen.collected or 0) + 1 end})
    sleep(0.0007)
  end
end)
for i in generator do
  local keys = {}
  for key, value in pairs(order) do keys[#keys + 1] = key .. "=" .. value[1] end
  local ok, why = pcall(function() sleep(0.0001) error({i}) end)
  print(i, table.concat(keys, " "), tostring(keys), tostring(print), math.random(1 << 40), ok, why[1], seen.n, seen.collected)
end
)";

}  // namespace

TEST_CASE("from its image a script goes on in the middle of its loop, and nothing betrays it") {
    const Directory directory;
    const auto path = directory.file("image");
    std::string expected;
    {
        auto arena = Arena::map().value();
        QuietHost host;
        auto vm = create(arena, host, busy_script);
        run(vm, host, Instant{50'000'000});
        REQUIRE(host.complaints.empty());
        REQUIRE(host.said.find("\n20\t") != std::string::npos);
        save(arena, path, "the stack's part");
        host.said.clear();
        run(vm, host, Instant{90'000'000});
        expected = host.said;
        REQUIRE(expected.size() > 5'000);
        REQUIRE(host.complaints.empty());
    }
    for (int life = 0; life < 2; ++life) {
        auto arena = Arena::map().value();
        const auto image = load_image(path, arena).value();
        REQUIRE(image);
        CHECK(image->info.number == 3);
        CHECK(image->info.title == "test.lua");
        CHECK(std::string(image->snapshot.begin(), image->snapshot.end()) == "the stack's part");
        QuietHost host;
        host.time = Instant{50'000'000};
        auto vm = Vm::adopt(arena, host);
        run(vm, host, Instant{90'000'000});
        CHECK((host.said == expected));  // in brackets: what differs is too long to print
    }
}

TEST_CASE("the image is that of the instant at which it was begun, whatever the script does meanwhile") {
    const Directory directory;
    const auto path = directory.file("image");
    {
        auto arena = Arena::map().value();
        QuietHost host;
        auto vm = create(arena, host, "for i = 1, math.huge do sleep(0.001) print(i) end");
        run(vm, host, Instant{10'000'000});
        auto writer = ImageWriter::start(path, arena, {}).value();
        run(vm, host, Instant{500'000'000});
        REQUIRE(writer->finish({}));
    }
    auto arena = Arena::map().value();
    REQUIRE(load_image(path, arena).value());
    QuietHost host;
    host.time = Instant{10'000'000};
    auto vm = Vm::adopt(arena, host);
    run(vm, host, Instant{11'000'000});
    CHECK(host.said == "11\n");
}

TEST_CASE("a writer that is given up leaves no trace, and the image before it stays") {
    const Directory directory;
    const auto path = directory.file("image");
    auto arena = Arena::map().value();
    QuietHost host;
    (void)create(arena, host, "sleep(1)");
    save(arena, path, "first");
    const auto before = read(path);
    { const auto given_up = ImageWriter::start(path, arena, {}).value(); }
    CHECK(read(path) == before);
    CHECK_FALSE(std::filesystem::exists(path + ".new"));
    CHECK(ImageWriter::start(directory.file("no/such"), arena, {}).error().find("No such file") !=
          std::string::npos);
}

TEST_CASE("a damaged image is refused, wherever the damage is") {
    const Directory directory;
    const auto path = directory.file("image");
    {
        auto arena = Arena::map().value();
        QuietHost host;
        (void)create(arena, host, "sleep(1)");
        save(arena, path, "the stack's part");
    }
    const auto good = read(path);
    const auto refused = [&](const std::string& bytes) {
        write(path, bytes);
        auto arena = Arena::map().value();
        return !load_image(path, arena).has_value();
    };
    CHECK_FALSE(refused(good));
    for (std::size_t at = 0; at < good.size(); at += at < 1300 ? 13 : 1499) {
        auto bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
        if (!refused(bad)) FAIL("a flipped bit at " << at);
    }
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{4096},
                                    good.size() / 2, good.size() - 1}) {
        CHECK(refused(good.substr(0, bytes)));
    }
    CHECK(refused(good + "x"));
    CHECK(refused(std::string(100'000, 'x')));
}

TEST_CASE("the image of another build is refused by name") {
    const Directory directory;
    const auto path = directory.file("image");
    const auto script = directory.file("end.lua");
    write(script, "print('hello')");
    const std::string program = KEEPNET_BIN_DIR "/persistent_runtime";
    REQUIRE(std::system((program + " --state " + path + ' ' + script + " >/dev/null").c_str()) == 0);
    auto arena = Arena::map().value();
    const auto loaded = load_image(path, arena);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().find("another build") != std::string::npos);
}

TEST_CASE("no image is no error") {
    const Directory directory;
    auto arena = Arena::map().value();
    const auto loaded = load_image(directory.file("image"), arena);
    REQUIRE(loaded);
    CHECK_FALSE(loaded->has_value());
}

TEST_CASE("an error in the script's text is one at the start") {
    auto arena = Arena::map().value();
    QuietHost host;
    const auto refused = Vm::create(arena, host, "for for", "test.lua", {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().find("test.lua:1:") != std::string::npos);
}

TEST_CASE("an error ends its task, and the main task's is remembered") {
    auto arena = Arena::map().value();
    QuietHost host;
    auto vm = create(arena, host, "spawn(function() error('one') end) sleep(1) print('here') error('two')");
    auto result = run(vm, host, Instant{500'000'000});
    CHECK(result.tasks == 1);
    CHECK_FALSE(result.failed);
    CHECK(host.complaints.find("test.lua:1: one") != std::string::npos);
    result = run(vm, host, Instant{2'000'000'000});
    CHECK(host.said == "here\n");
    CHECK(result.tasks == 0);
    CHECK(result.failed);
    CHECK(host.complaints.find("test.lua:1: two") != std::string::npos);
}

TEST_CASE("a script cannot reach what is in no image") {
    auto arena = Arena::map().value();
    QuietHost host;
    auto vm = create(arena, host, "print(io, os, require, package, debug, dofile, loadfile)");
    run(vm, host, Instant{1});
    CHECK(host.said == "nil\tnil\tnil\tnil\tnil\tnil\tnil\n");
}

TEST_CASE("too much memory ends the task that wanted it, not the others") {
    auto arena = Arena::map().value();
    QuietHost host;
    auto vm = create(arena, host, "spawn(function() sleep(1) print('alive') end) string.rep('x', 1 << 30)");
    const auto result = run(vm, host, Instant{2'000'000'000});
    CHECK(result.failed);
    INFO(host.complaints);
    CHECK(host.complaints.find("not enough memory") != std::string::npos);
    CHECK(host.said == "alive\n");
}
