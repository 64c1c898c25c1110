"""Load tests of the Gateway, taken as ratios to a bare Autobahn server. See README.md."""
