# The simulator's tests: the same program over many seeds, over those that once failed, twice over the same, and
# against what is wrong on purpose. Under sanitizers, or unoptimised, there is time for fewer.
if(KEEPNET_SANITIZE OR NOT CMAKE_BUILD_TYPE MATCHES "Release")
    set(sim_seeds 150)
else()
    set(sim_seeds 2200)
endif()
set(KEEPNET_SIM_SEEDS ${sim_seeds} CACHE STRING "Seeds that the simulator's test runs")
add_test(NAME "sim: seeds" COMMAND keepnet-sim --seeds ${KEEPNET_SIM_SEEDS} --first 1)
add_test(NAME "sim: regressions" COMMAND keepnet-sim --regressions ${CMAKE_CURRENT_SOURCE_DIR}/sim/regressions.txt)
add_test(NAME "sim: same seed, same trace" COMMAND keepnet-sim --seeds 40 --first 100001 --twice-every 1)
set(sim_tests "sim: seeds" "sim: regressions" "sim: same seed, same trace")
if(sim_seeds GREATER 1000)
    # It runs thousands of seeds to judge the judge, which is the same program in every build: once, in the fast one.
    add_test(NAME "sim: the judge is judged" COMMAND keepnet-sim --self-test)
    list(APPEND sim_tests "sim: the judge is judged")
endif()
set_tests_properties(${sim_tests} PROPERTIES LABELS sim TIMEOUT 900)
