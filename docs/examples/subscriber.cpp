// Print the detections that lpnet-rt publishes: ./subscriber [endpoint]
// With keys: LPNET_KEY=gate.key_secret LPNET_SERVER_KEY=server.key ./subscriber ...
// Debian: apt-get install libzmq3-dev nlohmann-json3-dev; g++ -std=c++17 subscriber.cpp -o subscriber -lzmq
#include <zmq.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

using nlohmann::json;

struct Stream {
    std::string session;
    long long due = 0;  // seq of the next frame
    std::string state = "live";
};

static bool receive(void* socket, std::string& part) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, 0) < 0) return false;
    part.assign(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    const bool more = zmq_msg_more(&message);
    zmq_msg_close(&message);
    return more;
}

static std::string kind_of(const std::string& topic) {
    std::istringstream words(topic);
    std::string word;
    for (int i = 0; i < 3; ++i) std::getline(words, word, '.');
    return word;
}

static void print_frame(const json& message) {
    std::cout << "frame " << message["frame"] << ": ";
    const char* gap = "";
    for (const auto& d : message["detections"]) {
        char text[80];
        std::snprintf(text, sizeof text, "(%.1f, %.1f) score %.2f", d["cx"].get<double>(), d["cy"].get<double>(),
                      d["score"].get<double>());
        std::cout << gap << text;
        gap = ", ";
    }
    if (message["detections"].empty())
        std::cout << (message["error"].is_null() ? "nothing" : message["error"].get<std::string>());
    std::cout << std::endl;
}

// A key of a certificate file, such as the 40 characters after public-key = "
static std::string key_in(const char* path, const std::string& kind) {
    std::ostringstream text;
    text << std::ifstream(path ? path : "").rdbuf();
    const std::string start = kind + "-key = \"";
    const auto at = text.str().find(start);
    return at == std::string::npos ? "" : text.str().substr(at + start.size(), 40);
}

int main(int argc, char** argv) {
    const char* endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:5556";
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_SUB);
    const int heartbeat_ms = 2000, timeout_ms = 6000;
    zmq_setsockopt(socket, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof heartbeat_ms);
    zmq_setsockopt(socket, ZMQ_HEARTBEAT_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    if (const char* own = std::getenv("LPNET_KEY")) {
        const char* server = std::getenv("LPNET_SERVER_KEY");
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, key_in(own, "public").c_str(), 41);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key_in(own, "secret").c_str(), 41);
        if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, key_in(server, "public").c_str(), 41) != 0) {
            std::cerr << "no key in LPNET_SERVER_KEY" << std::endl;
            return 1;
        }
    }
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "lpnet.v1.", 9);
    if (zmq_connect(socket, endpoint) != 0) {
        std::cerr << endpoint << ": " << zmq_strerror(zmq_errno()) << std::endl;
        return 1;
    }
    std::map<std::string, Stream> streams;
    long long received = 0, missed = 0;
    for (bool ended = false; !ended;) {
        std::string topic, payload;
        if (!receive(socket, topic)) continue;
        receive(socket, payload);
        const json message = json::parse(payload);
        const std::string kind = kind_of(topic), source = message["source"], session = message["session"];
        const json& newest = message[kind == "end" ? "last_seq" : "seq"];
        const long long after = newest.is_null() ? 0 : newest.get<long long>() + 1;
        const long long first = kind == "det" ? after - 1 : after;  // all frames before this one have been published
        auto [place, is_new] = streams.try_emplace(source, Stream{session, first});
        Stream& stream = place->second;
        if (is_new && first > 0) std::cout << source << ": joined at seq " << first << std::endl;
        if (stream.session != session) {
            std::cout << source << ": the publisher has started again" << std::endl;
            stream.session = session;
            stream.due = 0;
        }
        if (first > stream.due) {
            std::cout << source << ": missed seq " << stream.due << " to " << first - 1 << std::endl;
            missed += first - stream.due;
        }
        stream.due = std::max(stream.due, after);
        if (kind == "det") {
            ++received;
            print_frame(message);
        } else if (kind == "status" && message["state"] != stream.state) {
            stream.state = message["state"];
            std::cout << source << ": " << stream.state << " " << message["state_reason"] << std::endl;
        } else if (kind == "end") {
            std::cout << source << ": " << message["reason"].get<std::string>() << ", " << received
                      << " frames received, " << missed << " missed" << std::endl;
            ended = true;
        }
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
