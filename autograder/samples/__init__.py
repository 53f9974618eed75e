"""The small real data sets that the package carries; README.md beside this file says where they come from."""
