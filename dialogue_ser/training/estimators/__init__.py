"""Linear models of scikit-learn as systems: how they are fitted and saved."""
