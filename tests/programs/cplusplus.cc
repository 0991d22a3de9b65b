// Exceptions, std::thread, std::async, condition variables, containers.
// needs: g++
// build: g++ -O2 -std=c++17 -pthread -o {bin} {src}
// progress: 3
// answer: collatz 100 thrown 25
#include <chrono>
#include <future>
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

static unsigned steps(unsigned long n)
{
    unsigned count = 0;
    for (; n != 1; count++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return count;
}

static std::map<unsigned, unsigned> range(unsigned from, unsigned to)
{
    std::map<unsigned, unsigned> found;
    for (unsigned n = from; n < to; n++)
        found[steps(n)]++;
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    if (from % 40000 == 1)
        throw std::runtime_error("as it should");
    return found;
}

int main()
{
    std::map<unsigned, unsigned> all;
    int thrown = 0;
    for (unsigned at = 1; at < 1000000; at += 40000) {
        std::vector<std::future<std::map<unsigned, unsigned>>> parts;
        for (unsigned i = 0; i < 4; i++)
            parts.push_back(std::async(std::launch::async, range, at + i * 10000,
                                       at + i * 10000 + 10000));
        for (auto &part : parts) {
            try {
                for (auto &[key, count] : part.get())
                    all[key] += count;
            } catch (const std::runtime_error &) {
                thrown++;
            }
        }
        std::cout << "up to " << at + 40000 << std::endl;
    }
    unsigned most = 0;
    for (auto &[key, count] : all)
        if (count > all[most])
            most = key;
    std::cout << "collatz " << most << " thrown " << thrown << std::endl;
}
