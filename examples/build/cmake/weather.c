/*
 * Says a temperature in two units; the words come from a file of the image. Ends with 3 for what no thermometer shows.
 */
#include <stdio.h>
#include <stdlib.h>

double fahrenheit(double celsius);

int main(int count, char **words) {
    double celsius = count > 1 ? atof(words[1]) : 21;
    if (celsius > 100) return 3;
    char place[64] = "";
    FILE *file = fopen("/etc/place", "r");
    if (file == NULL || fgets(place, sizeof place, file) == NULL) return 2;
    printf("%.0f degrees Celsius, %.1f Fahrenheit in %s", celsius, fahrenheit(celsius), place);
    return 0;
}
