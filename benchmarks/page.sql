-- The tables that benchmarks/page.py reads. A station with a profile probe has 24 channels. A fifth of the devices has
-- gaps, and another fifth has been silent for three days.
create schema zentra;
set search_path to zentra;
create table channels as
select * from (values
    (1, 'Air Temperature', 0, 'ATMOS 41', '°C', '', 'mean'), (1, 'Atmospheric Pressure', 0, 'ATMOS 41', 'kPa', '', 'mean'),
    (1, 'Gust Speed', 0, 'ATMOS 41', 'm/s', '', 'max'), (1, 'Lightning Activity', 0, 'ATMOS 41', '', '', 'sum'),
    (1, 'Lightning Distance', 0, 'ATMOS 41', 'km', '', 'mean'), (1, 'Max Precip Rate', 0, 'ATMOS 41', 'mm/h', '', 'max'),
    (1, 'Precipitation', 0, 'ATMOS 41', 'mm', '', 'sum'), (1, 'RH Sensor Temp', 0, 'ATMOS 41', '°C', '', 'mean'),
    (1, 'Relative Humidity', 0, 'ATMOS 41', '%%', '', 'mean'), (1, 'Solar Radiation', 0, 'ATMOS 41', 'W/m²', '', 'mean'),
    (1, 'VPD', 0, 'ATMOS 41', 'kPa', '', 'mean'), (1, 'Wind Direction', 0, 'ATMOS 41', '°', '', 'vector mean'),
    (1, 'Wind Speed', 0, 'ATMOS 41', 'm/s', '', 'mean'), (1, 'X-axis Level', 0, 'ATMOS 41', '°', '', 'mean'),
    (2, 'Leaf Wetness', 0, 'PHYTOS 31', 'min', '', 'sum'), (2, 'Wetness Level', 0, 'PHYTOS 31', '', '', 'mean'),
    (3, 'Soil Temperature', 0, 'TEROS 11', '°C', '10 cm', 'mean'), (3, 'Water Content', 0, 'TEROS 11', 'm³/m³', '10 cm', 'mean'),
    (5, 'Water Content', 0, 'TEROS 54', 'm³/m³', '15 cm', 'mean'), (5, 'Water Content', 1, 'TEROS 54', 'm³/m³', '30 cm', 'mean'),
    (5, 'Water Content', 2, 'TEROS 54', 'm³/m³', '45 cm', 'mean'), (5, 'Water Content', 3, 'TEROS 54', 'm³/m³', '60 cm', 'mean'),
    (7, 'Battery Percent', 0, 'Battery', '%%', '', 'mean'), (8, 'Logger Temperature', 0, 'Barometer', '°C', '', 'mean')
) as channel (port_number, measurement, sub_sensor_index, sensor_name, units, depth, aggregation);
create table hours as
select
    'z6-' || lpad(number::text, 5, '0') as device_sn, number, hour_utc,
    hour_utc - interval '7 hours' as local_hour, (hour_utc - interval '7 hours')::date as local_date
from
    generate_series(1, %(devices)s) as number,
    generate_series(
        date_trunc('hour', now() at time zone 'UTC') - %(days)s * interval '1 day',
        date_trunc('hour', now() at time zone 'UTC') - interval '1 hour',
        interval '1 hour'
    ) as hour_utc
where
    not (mod(number, 5) = 3 and hour_utc > now() at time zone 'UTC' - interval '3 days')
    and not (mod(number, 5) = 1 and mod(extract(epoch from hour_utc)::bigint / 3600, 300) between 200 and 200 + mod(number, 40));
create table zentra_hourly as
select
    device_sn, hour_utc, local_hour, local_date, port_number, measurement, sub_sensor_index, sensor_name,
    null::text as sensor_sn, units, depth, aggregation,
    case aggregation when 'mean' then 0.3 + 0.1 * sin(extract(epoch from hour_utc) / 90000 + number) + 0.02 * random()
    else greatest(0, sin(extract(epoch from hour_utc) / 50000 + number) - 0.9) end::double precision as value,
    null::double precision as min_value, null::double precision as max_value,
    4::bigint as readings, 0::bigint as flagged, 4 as expected, 1::double precision as share,
    hour_utc as first_reading_utc, hour_utc + interval '45 minutes' as last_reading_utc, hour_utc as staged_at
from hours, channels;
create index on zentra_hourly (device_sn, local_date);
create table zentra_daily as
select
    device_sn, local_date, port_number, measurement, sub_sensor_index, sensor_name, sensor_sn, units, depth, aggregation,
    avg(value) as value, min(value) as min_value, max(value) as max_value,
    sum(readings)::bigint as readings, 0::bigint as flagged, 96 as expected,
    sum(readings)::double precision / 96 as share,
    min(first_reading_utc) as first_reading_utc, max(last_reading_utc) as last_reading_utc, max(staged_at) as staged_at
from zentra_hourly
group by device_sn, local_date, port_number, measurement, sub_sensor_index, sensor_name, sensor_sn, units, depth, aggregation;
create index on zentra_daily (device_sn, local_date);
create table int_zentra__stretches as
select
    device_sn, local_date, 'Station ' || device_sn as device_name, min(hour_utc) as first_reading_utc, max(hour_utc) + interval '45 minutes' as last_reading_utc,
    count(*) * 4 as moments, 900::bigint as usual_step, 86400 as day_seconds, max(hour_utc) as staged_at
from (
    select *, hour_utc - row_number() over (partition by device_sn order by hour_utc) * interval '1 hour' as stretch
    from hours
) as numbered
group by device_sn, local_date, stretch;
create index on int_zentra__stretches (device_sn, local_date);
create table devices as
select
    device_sn, 'Station ' || device_sn as device_name, case when right(device_sn, 1) = '7' then 'failed' else 'current' end as outcome,
    case when right(device_sn, 1) = '7' then 'the service does not answer' end as error, now() at time zone 'UTC' as synced_at
from hours group by device_sn;
analyze zentra_hourly, zentra_daily, int_zentra__stretches;
