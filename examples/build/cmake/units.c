/* A shared library, so that the package has one to bring along. */
double fahrenheit(double celsius);

double fahrenheit(double celsius) { return celsius * 9 / 5 + 32; }
