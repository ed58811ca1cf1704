// `keepnet inspect`: what people and programs read, and what becomes of bad files.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <catch2/catch_test_macros.hpp>

#include "support/sample.hpp"
#include "support/tool.hpp"

using namespace keepnet;
using namespace keepnet::test;
namespace fs = std::filesystem;

TEST_CASE("inspect shows people what a snapshot holds") {
    Tool tool;
    Sample sample;
    const auto bytes = snapshot_of(*sample.stack, {.blobs = {{"app\n", {1, 2, 3}}}, .wall_clock_ns = 0});
    const fs::path file = tool.write(bytes);
    const Output output = tool.run("inspect " + file.string());
    INFO(output.out);
    REQUIRE(output.status == 0);
    REQUIRE(output.err.empty());
    for (const char* part :
         {"snapshot of cut 1, format 1.1", "1970-01-01 00:00:00 UTC", "02:00:00:00:00:01", "2001:db8::1/64", "preferred",
          "on-link", "incomplete", "sockets: 4", "established", "[2001:db8::2]:40000", "rexmit+250ms", "delack+30ms",
          "listen", "*:80", "*:5353", "connections without a socket: 2", "syn_received", "app?", "blobs: 1"}) {
        INFO(part);
        REQUIRE(has(output.out, part));
    }
    REQUIRE(slurp(file) == std::string(bytes.begin(), bytes.end()));
}

TEST_CASE("inspect --json gives programs every field") {
    Tool tool;
    Sample sample;
    const fs::path file = tool.write(snapshot_of(*sample.stack, {.blobs = {{"a\"\\\n\xff", {1, 2, 3}}}}));
    const Output output = tool.run("inspect --json " + file.string());
    REQUIRE(output.status == 0);
    REQUIRE(output.err.empty());
    std::ofstream(file.string() + ".json") << output.out;
    // A reader of its own judges the syntax and the values.
    std::ofstream(file.string() + ".py") << R"(
import json, sys
d = json.load(open(sys.argv[1]))
assert d["format"] == "1.1"
assert d["header"]["cut"] == 1 and d["header"]["capacity"]["sockets"] == 16
assert len(d["sockets"]) == 4 and len(d["connections"]) == 3 and len(d["sliceNodes"]) == 5
c = d["connections"][0]
assert c["phase"] == "established" and c["local"] == {"address": "2001:db8::1", "port": 80, "interface": 1}
assert c["snd"]["una"] == 1000 and c["sendQueue"]["bytes"] == 600
assert c["timers"]["retransmit"] == 250000000 and c["timers"]["persist"] is None and c["lastInvalidAck"] is None
assert d["interfaces"][0]["mac"] == "02:00:00:00:00:01" and d["interfaces"][0]["device"] == "000009"
assert d["neighbors"][1]["phase"] == "incomplete" and d["routes"][1]["nextHop"] == "2001:db8::2"
assert len(d["pendingPackets"]) == 2 and d["pendingPackets"][0]["slices"][1]["length"] == 50
assert len(d["datagrams"]) == 3 and d["datagrams"][1]["payload"]["length"] == 33
assert d["blobs"] == [{"name": "a\"\\\n\u00ff", "bytes": 3}]
assert len(d["stack"]["random"]["key"]) == 8 and len(d["buffers"]) == 9
)";
    REQUIRE(std::system(("python3 " + file.string() + ".py " + file.string() + ".json").c_str()) == 0);
}

TEST_CASE("inspect refuses a bad file in one line, with status 1, and leaves it as it was") {
    Tool tool;
    Sample sample;
    std::vector<std::uint8_t> bytes = snapshot_of(*sample.stack);
    std::string says;
    SECTION("empty") {
        bytes.clear();
        says = "the snapshot is empty";
    }
    SECTION("not ours") {
        bytes.assign(100, 'x');
        says = "not a keepnet snapshot";
    }
    SECTION("truncated") {
        bytes.resize(bytes.size() / 2);
        says = "truncated";
    }
    SECTION("damaged") {
        bytes[bytes.size() / 2] ^= 4;
        says = "checksum";
    }
    SECTION("newer") {
        bytes[8] = 7;
        says = "format 7.";
    }
    const fs::path file = tool.write(bytes);
    for (const char* option : {"", "--json "}) {
        const Output output = tool.run("inspect " + std::string(option) + file.string());
        REQUIRE(output.status == 1);
        REQUIRE(output.out.empty());
        REQUIRE(has(output.err, file.string() + ": "));
        REQUIRE(has(output.err, says));
        REQUIRE(std::count(output.err.begin(), output.err.end(), '\n') == 1);
        REQUIRE(slurp(file) == std::string(bytes.begin(), bytes.end()));
    }
}

TEST_CASE("inspect of no file, of a directory, and wrong usage") {
    Tool tool;
    const Output missing = tool.run("inspect /nonexistent/file");
    REQUIRE(missing.status == 1);
    REQUIRE(missing.err == "keepnet: /nonexistent/file: No such file or directory\n");
    const Output directory = tool.run("inspect /");
    REQUIRE(directory.status == 1);
    REQUIRE(has(directory.err, "Is a directory"));
    REQUIRE(tool.run("inspect").status == 2);
    REQUIRE(tool.run("").status == 2);
    const Output help = tool.run("--help");
    REQUIRE(help.status == 0);
    REQUIRE(has(help.out, "inspect"));
}
