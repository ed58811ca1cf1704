#include <keepnet/hosted/main.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

namespace keepnet::hosted {
namespace {

void print(std::FILE* to, std::string_view text) {
    (void)std::fwrite(text.data(), 1, text.size(), to);
    (void)std::fflush(to);
}

void complain(std::string_view name, std::string message) {
    for (char& c : message) {
        if (c == '\n') c = ' ';
    }
    print(stderr, std::string(name) + ": " + message + "\n");
}

}  // namespace

std::unexpected<Failure> failed(std::string what) { return std::unexpected(Failure{.message = std::move(what)}); }

std::unexpected<Failure> failed_errno(const std::string& what) { return failed(what + ": " + std::strerror(errno)); }

std::unexpected<Failure> wrong_usage(std::string what) {
    return std::unexpected(Failure{.message = std::move(what), .status = ExitStatus::usage});
}

std::string_view version() { return KEEPNET_VERSION; }

ExitStatus run(std::string_view name, const std::function<Result<ExitStatus>()>& body) {
    try {
        const auto ended = body();
        if (ended) return *ended;
        complain(name, ended.error().message);
        return ended.error().status;
    } catch (const std::bad_alloc&) {
        complain(name, "not enough memory");
    } catch (const std::exception& thrown) {
        complain(name, thrown.what());
    }
    return ExitStatus::failed;
}

int run_main(int argc, const char* const* argv, const MainOptions& options,
             const std::function<Result<>(std::span<const std::string_view>)>& body) {
    const auto status = run(options.name, [&]() -> Result<ExitStatus> {
        std::vector<std::string_view> words;
        bool options_end = false;
        for (int i = 1; i < argc; ++i) {
            const std::string_view word(argv[i]);
            if (options_end || !word.starts_with('-') || word == "-") {
                words.push_back(word);
            } else if (word == "--") {
                options_end = true;
            } else if (word == "--help" || word == "-h") {
                print(stdout, options.usage + "\n");
                return ExitStatus::done;
            } else if (word == "--version") {
                print(stdout, options.name + " " + std::string(version()) + "\n");
                return ExitStatus::done;
            } else {
                return wrong_usage(std::string(word) + ": no such option; --help lists what there is");
            }
        }
        if (const auto done = body(words); !done) return std::unexpected(done.error());
        return ExitStatus::done;
    });
    return static_cast<int>(status);
}

}  // namespace keepnet::hosted
