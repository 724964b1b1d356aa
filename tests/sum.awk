# Passes the output of `make test` through and ends it with one line for all of it: N passed, N failed.
# Counts the lines "test result: ok. 3 passed; 0 failed; …" of cargo and "3 passed, 0 failed" of `weir test`.
{ print; fflush() }
/^test result: / { passed += $4; failed += $6 }
/^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3 }
END { printf "%d passed, %d failed\n", passed, failed }
