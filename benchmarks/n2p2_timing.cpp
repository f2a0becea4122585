// Times of n2p2 (C++), for comparison in `python -m benchmarks.speed --n2p2 ./n2p2_timing`.
//
// With n2p2's sources in $N2P2 and Eigen's headers in $EIGEN (such as /usr/include/eigen3):
//
//     (cd $N2P2 && mkdir -p bin include lib && make -C src/libnnp PROJECT_EIGEN=$EIGEN)
//     CXXFLAGS="-O3 -march=native -std=c++11 -I$N2P2/include -I$EIGEN"
//     g++ $CXXFLAGS benchmarks/n2p2_timing.cpp $N2P2/lib/libnnp.a -o n2p2_timing
//     ./n2p2_timing FOLDER [STRUCTURE=1] [REPEATS=20]
//
// FOLDER holds input.nn, scaling.data, weights.*.data and input.data; STRUCTURE counts from 1 in
// input.data. Prints one line of JSON: medians, in microseconds of processor time per atom, of the
// neighbour list, of the symmetry functions without (values) and with derivatives, and of energy
// and forces together (symmetry functions with derivatives, networks, forces; without the neighbour
// list); and the total energy in the units of input.data, to check against n2p2's own programs.
// In one thread on a machine that does nothing else, processor time is wall time.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>
#include "Prediction.h"

namespace
{

class Timing : public nnp::Prediction
{
public:
    Timing(std::string const& folder, std::size_t number)
    {
        log.writeToStdout = false;
        initialize();
        loadSettingsFile(folder + "input.nn");
        setupGeneric(folder);
        setupSymmetryFunctionScaling(folder + "scaling.data");
        setupNeuralNetworkWeights({{"short", folder + formatWeightsFilesShort}});
        // Neither statistics nor warnings: printing thousands of them is not what is timed.
        setupSymmetryFunctionStatistics(false, false, false, false);
        read(folder + "input.data", number);
    }

    void neighbors() {structure.calculateNeighborList(maxCutoffRadius);}

    void functions(bool derivatives) {calculateSymmetryFunctionGroups(structure, derivatives);}

    void energyAndForces()
    {
        functions(true);
        calculateAtomicNeuralNetworks(structure, true);
        calculateEnergy(structure);
        calculateForces(structure);
    }

    // n2p2 skips what is marked as done. Memory stays allocated, which favours n2p2.
    void forgetFunctions()
    {
        structure.hasSymmetryFunctions = false;
        structure.hasSymmetryFunctionDerivatives = false;
        for (auto& atom : structure.atoms)
        {
            atom.hasSymmetryFunctions = false;
            atom.hasSymmetryFunctionDerivatives = false;
        }
    }

    double energy()
    {
        double const physical =
            normalize ? physicalEnergy(structure, false) : structure.energy;
        return physical + getEnergyOffset(structure);
    }

private:
    void read(std::string const& path, std::size_t number)
    {
        std::ifstream file(path);
        if (!file) throw std::runtime_error("cannot open " + path);
        for (std::size_t n = 0; n < number; ++n)
        {
            if (file.peek() == std::ifstream::traits_type::eof())
                throw std::runtime_error("fewer structures than asked for in " + path);
            structure.reset();
            structure.setElementMap(elementMap);
            structure.readFromFile(file);
        }
        removeEnergyOffset(structure);
        if (normalize) structure.toNormalizedUnits(meanEnergy, convEnergy, convLength, convCharge);
    }
};

// Median over the repeats, microseconds; `before` is not timed. The first pass warms up.
double median(int repeats, std::function<void()> before, std::function<void()> what)
{
    std::vector<double> times;
    for (int n = 0; n <= repeats; ++n)
    {
        before();
        std::clock_t const start = std::clock();
        what();
        double const time = 1e6 * (std::clock() - start) / CLOCKS_PER_SEC;
        if (n > 0) times.push_back(time);
    }
    std::sort(times.begin(), times.end());
    return 0.5 * (times.at((repeats - 1) / 2) + times.at(repeats / 2));
}

void run(std::string const& folder, std::size_t number, int repeats)
{
    Timing potential(folder, number);
    double const atoms = potential.structure.numAtoms;
    auto const clear = [&] {potential.structure.clearNeighborList();};
    auto const forget = [&] {potential.forgetFunctions();};
    double const list = median(repeats, clear, [&] {potential.neighbors();});
    double const values = median(repeats, forget, [&] {potential.functions(false);});
    double const derivatives = median(repeats, forget, [&] {potential.functions(true);});
    double const forces = median(repeats, forget, [&] {potential.energyAndForces();});
    std::printf("{\"structure\": %zu, \"atoms\": %.0f, \"neighbor_list\": %.3f, "
                "\"values\": %.3f, \"derivatives\": %.3f, \"energy_forces\": %.3f, "
                "\"energy\": %.16e}\n",
                number, atoms, list / atoms, values / atoms, derivatives / atoms, forces / atoms,
                potential.energy());
}

} // namespace

int main(int argc, char* argv[])
{
    if (argc < 2 || argc > 4)
    {
        std::cerr << "usage: " << argv[0] << " FOLDER [STRUCTURE=1] [REPEATS=20]\n";
        return 2;
    }
    int const number = argc > 2 ? std::atoi(argv[2]) : 1;
    int const repeats = argc > 3 ? std::atoi(argv[3]) : 20;
    if (number < 1 || repeats < 1)
    {
        std::cerr << "STRUCTURE and REPEATS must be at least 1\n";
        return 2;
    }
    try
    {
        run(std::string(argv[1]) + "/", number, repeats);
    }
    catch (std::exception const& error)
    {
        std::cerr << argv[0] << ": " << error.what() << "\n";
        return 1;
    }
    return 0;
}
