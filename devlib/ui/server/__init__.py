"""The dashboards' server: standalone Voila behind identity, with kernels ready before anybody asks."""
